"""The data of a run that lives in a store. Reads; writes nothing.

The final context is not stored: it is drawn again from the accepted answers, as the loop drew it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from winnow.adaption.buffer import Answer, Buffer
from winnow.adaption.task import Task
from winnow.ports.requests import Item
from winnow.report.data import RunData, with_kinds
from winnow.runs.reading import RunRecord, answered_cost, find, read_individuals, read_rounds, read_sessions
from winnow.runs.settings import Settings
from winnow.runs.store import Store
from winnow.values.random import Key


def from_store(store: Store, name: str) -> RunData:
    """The data of the run called ``name``: an id, the beginning of one, or ``last``.

    Raises
    ------
    InputError
        When the store has no such run.
    """
    record = find(store, name)
    answers = list(read_individuals(store, record.id))
    calls, prompt, new = answered_cost(store, record.id)
    task = record.settings["task"]
    return {
        "label": record.id,
        "task": task,
        "model": (record.source.get("load") or {}).get("name") or record.settings["model"],
        "seed": record.settings["seed"],
        "rounds": read_rounds(store, record.id),
        "answers": with_kinds(answers, task),
        "context": final_context(Settings.from_json(record.settings).task, record, answers),
        "stop": record.message or record.status,
        "spent": {"everything": {"calls": calls, "prompt_tokens": prompt, "new_tokens": new}},
        "provenance": _provenance(store, record),
    }


def final_context(task: Task, record: RunRecord, answers: Sequence[dict[str, Any]]) -> list[int]:
    """Numbers of the answers that the next query would be answered with."""
    if not answers:
        return []
    kept = [_answer(row) for row in answers if row["accepted"]]
    last = answers[-1]["round"]
    if record.status != "done":  # stopped between rounds: what the last one kept, as the loop's own result has it
        return [answer.number for answer in kept if answer.round == last][: task.examples]
    buffer = Buffer(appended=task.buffer == "appended")
    for number in range(last + 1):
        buffer.fill([answer for answer in kept if answer.round == number])
    key = Key(record.settings["seed"]).child("adapt").child("final")
    return [answer.number for answer in buffer.draw([""], task.examples, key, shared=False)[0]]


def _answer(row: dict[str, Any]) -> Answer:
    known = {name: row[name] for name in Answer._fields if name in row}
    return Answer(**{**known, "item": Item(row["query"], row["answer"]), "parents": tuple(row["parents"])})


def _provenance(store: Store, record: RunRecord) -> dict[str, Any]:
    rest = {name: value for name, value in record.settings.items() if name not in ("task", "seed", "response")}
    found: dict[str, Any] = {"run": record.id, "store": store.name, **rest}
    for session in read_sessions(store, record.id):
        counts = {"asked": session.asked, "answered from the store": session.replayed}
        found[f"session {session.number}"] = {**session.provenance, **counts}
    return found
