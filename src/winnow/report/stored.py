"""The data of a run that lives in a store. Reads; writes nothing."""

from __future__ import annotations

from typing import Any

from winnow.adaption.loop import examples_of
from winnow.report.data import RunData, answer_record, plain_task, with_kinds
from winnow.runs.reading import RunRecord, answered_cost, find, read_answers, read_rounds, read_sessions
from winnow.runs.settings import Settings
from winnow.runs.store import Store


def from_store(store: Store, name: str) -> RunData:
    """The data of the run called ``name``: an id, the beginning of one, or ``last``.

    Raises
    ------
    InputError
        When the store has no such run.
    """
    record = find(store, name)
    settings = Settings.from_json(record.settings)
    answers = read_answers(store, record.id)
    calls, prompt, new = answered_cost(store, record.id)
    task = plain_task(settings.task)
    return {
        "label": record.id,
        "task": task,
        "model": (record.source.get("load") or {}).get("name") or settings.model,
        "seed": settings.seed,
        "rounds": read_rounds(store, record.id),
        "answers": with_kinds(map(answer_record, answers), task),
        "context": [answer.number for answer in examples_of(settings.task, answers, seed=settings.seed)],
        "stop": record.message or record.status,
        "spent": {"everything": {"calls": calls, "prompt_tokens": prompt, "new_tokens": new}},
        "provenance": _provenance(store, record),
    }


def _provenance(store: Store, record: RunRecord) -> dict[str, Any]:
    rest = {name: value for name, value in record.settings.items() if name not in ("task", "seed", "response")}
    found: dict[str, Any] = {"run": record.id, "store": store.name, **rest}
    for session in read_sessions(store, record.id):
        counts = {"asked": session.asked, "answered from the store": session.replayed}
        found[f"session {session.number}"] = {**session.provenance, **counts}
    return found
