"""A run in other programs' formats. What a ledger's columns mean is in ``docs/ledger.md``."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from winnow.adaption.context import Context
from winnow.adaption.loop import examples_of, split
from winnow.runs.reading import RunRecord, read_answers, read_individuals, read_lineage, read_notes, read_rounds
from winnow.runs.settings import Settings
from winnow.runs.store import Store
from winnow.values.records import to_json

ANSWER_COLUMNS = (
    "number",
    "round",
    "query",
    "answer",
    "score",
    "survival",
    "accepted",
    "logprob",
    "finish",
    "parents",
    "evaluator",
    "context",
)


def ledger_rows(store: Store, record: RunRecord) -> Iterator[dict[str, Any]]:
    """The whole ledger, one object a row, each with its ``table``: run, note, round, answer, edge.

    Holds no time and no place: the same run gives the same bytes wherever and however often it was interrupted.
    """
    run = {"id": record.id, "settings": record.settings, "parent": record.parent, "removed": record.removed}
    yield {"table": "run", **run}
    for note in read_notes(store, record.id):
        yield {"table": "note", **note}
    for row in read_rounds(store, record.id):
        yield {"table": "round", **row}
    for answer in read_individuals(store, record.id):
        yield {"table": "answer", **answer}
    for child, parent, share in read_lineage(store, record.id):
        yield {"table": "edge", "child": child, "parent": parent, "share": share}


def as_jsonl(store: Store, record: RunRecord) -> str:
    """The ledger as JSON lines."""
    return "".join(to_json(row) + "\n" for row in ledger_rows(store, record))


def as_csv(store: Store, record: RunRecord) -> str:
    """One row an answer; parents by number, separated by spaces; each part of a score in a column of its own."""
    answers = list(read_individuals(store, record.id))
    parts = list(dict.fromkeys(name for answer in answers for name in answer["parts"]))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*ANSWER_COLUMNS, *(f"part: {name}" for name in parts)])
    for answer in answers:
        answer["parents"] = " ".join(map(str, answer["parents"]))
        row = [answer[name] for name in ANSWER_COLUMNS]
        writer.writerow(
            ["" if cell is None else cell for cell in [*row, *(answer["parts"].get(name) for name in parts)]]
        )
    return text.getvalue()


def as_messages(store: Store, record: RunRecord) -> str:
    """The adapted context as chat messages: append the next query as a user's turn."""
    return to_json([message._asdict() for message in final_context(store, record).messages()], indent=2) + "\n"


def as_dspy(store: Store, record: RunRecord) -> str:
    """The adapted context as the saved state of ``dspy.Predict("query -> answer")``: the examples are its demos.

    predict = dspy.Predict("query -> answer")
    predict.load("context.json")
    """
    context = final_context(store, record)
    state: dict[str, Any] = {
        "traces": [],
        "train": [],
        "demos": [{"query": item.query, "answer": item.answer} for item in context.examples],
        "signature": {
            "instructions": context.header.strip() or "Given the fields `query`, produce the fields `answer`.",
            "fields": [
                {"prefix": "Query:", "description": "${query}"},
                {"prefix": "Answer:", "description": "${answer}"},
            ],
        },
        "lm": None,
        "metadata": {"dependency_versions": {}},
    }
    return to_json(state, indent=2) + "\n"


FORMATS: Mapping[str, Callable[[Store, RunRecord], str]] = {
    "jsonl": as_jsonl,
    "csv": as_csv,
    "messages": as_messages,
    "dspy": as_dspy,
}


def final_context(store: Store, record: RunRecord) -> Context:
    """What the next query would be answered in, recomputed from the stored answers."""
    settings = Settings.from_json(record.settings)
    task = split(settings.task, seed=settings.seed)[0] if settings.response is True else settings.task
    examples = examples_of(task, read_answers(store, record.id), seed=settings.seed)
    return Context(task.pair, task.header, tuple(answer.item for answer in examples))
