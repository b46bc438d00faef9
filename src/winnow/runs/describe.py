"""A run in words and columns, for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from winnow.adaption.table import table
from winnow.runs.provenance import differences
from winnow.runs.reading import (
    RunRecord,
    SessionRecord,
    descendants,
    read_individuals,
    read_notes,
    read_rounds,
    read_sessions,
)
from winnow.runs.store import Store
from winnow.values.errors import InputError


def summary(record: RunRecord) -> dict[str, Any]:
    """A run in one JSON object."""
    settings = record.settings
    return {
        "run": record.id,
        "created": record.created,
        "status": record.status,
        "task": settings["task"]["name"],
        "model": settings["model"],
        "seed": settings["seed"],
        "rounds": record.num_rounds,
        "of": settings["task"]["rounds"] + 1,
        "requests": record.num_requests,
        "parent": record.parent,
        "message": record.message,
    }


def line_of(record: RunRecord) -> str:
    """A run in one line."""
    about = summary(record)
    derived = f" from {record.parent}" if record.parent else ""
    return (
        f"{record.id}  {when(record.created)}  {record.status:<11}  {record.num_rounds}/{about['of']} rounds  "
        f"{record.num_requests:>6,} requests  {about['task']}  {about['model'].split()[0]}  seed {about['seed']}{derived}"
    )


def page(store: Store, record: RunRecord) -> str:
    """Everything but the answers: settings in short, rounds, sessions, provenance."""
    settings, sessions = record.settings, read_sessions(store, record.id)
    task = settings["task"]
    lines = [
        f"run {record.id} of task {task['name']}: {record.status}" + (f" by {record.holder}" if record.holder else ""),
        *([record.message] if record.message else []),
        f"model      {settings['model']}",
        f"evaluator  {settings['evaluator']}",
        f"selection  {task['select']}, buffer {task['buffer']}, {task['examples']} examples, seed {settings['seed']}",
        f"requests   {record.num_requests:,}, each kept",
    ]
    if record.parent:
        lines.append(f"derived    from run {record.parent}")
    for gone in record.removed or []:
        why = f": {gone['why']}" if gone["why"] else ""
        lines.append(f"removed    item {gone['item']} and {len(gone['descendants'])} descendants{why}")
    rounds = read_rounds(store, record.id)
    lines += ["", table(rounds) if rounds else "no round is finished yet", ""]
    for before, session in zip([None, *sessions], sessions):
        lines.append(_session(session, before))
    if sessions:
        lines += ["", *_provenance(sessions[0].provenance)]
    if record.status not in ("done", "running"):
        lines += ["", f"go on: winnow resume {record.id}"]
    return "\n".join(lines)


def item_lines(store: Store, record: RunRecord) -> Iterator[str]:
    """The accepted items, a line each."""
    for answer in read_individuals(store, record.id):
        if answer["accepted"]:
            yield answer_line(answer)


def answer_line(answer: Mapping[str, Any]) -> str:
    """An answer in one line."""
    score = "     -" if answer["score"] is None else f"{answer['score']:6.3f}"
    kept = "accepted" if answer["accepted"] else "        "
    return f"{answer['number']:>6}  round {answer['round']:<3} {score}  {kept}  {answer['query']!r} -> {answer['answer']!r}"


def item_page(store: Store, record: RunRecord, number: int) -> str:
    """Everything known of one answer: where it comes from, how it was judged, what came of it."""
    answers = {answer["number"]: answer for answer in read_individuals(store, record.id)}
    if number not in answers:
        raise InputError(f"run {record.id} has no answer {number}", where="--item", remedy=f"0 to {len(answers) - 1}")
    one = answers[number]
    lines = [
        answer_line(one),
        f"survival  {one['survival']:.4f}, log-probability {one['logprob']:.4f}, ended by {one['finish']}",
    ]
    lines += [f"part      {name}: {value:.6g}" for name, value in one["parts"].items()]
    if one["accepted"]:
        heirs = descendants(store, record.id, number)
        lines += [f"evaluator {one['evaluator']}", f"context   sha256 {one['context']}", f"heirs     {len(heirs)}"]
    lines += ["made in the context of", *(answer_line(answers[parent]) for parent in one["parents"])]
    return "\n".join(lines if one["parents"] else [*lines[:-1], "made in an empty context"])


def everything(store: Store, record: RunRecord) -> dict[str, Any]:
    """What ``page`` says, and the settings and notes in full, as JSON values."""
    return {
        **summary(record),
        "settings": record.settings,
        "removed": record.removed,
        "ledger": read_rounds(store, record.id),
        "notes": read_notes(store, record.id),
        "sessions": [session._asdict() for session in read_sessions(store, record.id)],
    }


def when(seconds: float) -> str:
    """A time, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _session(session: SessionRecord, before: SessionRecord | None) -> str:
    took = "" if session.ended is None else f", {session.ended - session.started:.1f} s"
    counts = f", {session.asked:,} asked, {session.replayed:,} from the store" if session.outcome else ""
    changed = differences(before.provenance, session.provenance) if before is not None else []
    what = f"; changed: {', '.join(changed)}" if changed else ""
    outcome = session.outcome or "killed or at work"
    return f"session {session.number}  {when(session.started)}  {outcome}{took}{counts}{what}"


def _provenance(said: Mapping[str, Any]) -> list[str]:
    libraries = ", ".join(f"{name} {version}" for name, version in said["libraries"].items())
    commit = (
        f"commit {said['commit']}{' with uncommitted changes' if said['dirty'] else ''}"
        if said["commit"]
        else "no checkout"
    )
    lines = [
        f"made by    winnow {said['winnow']}, {commit}, source {said['source']}",
        f"on         {said['platform']}, python {said['python']}, {libraries}",
    ]
    return lines + [f"file       {name} sha256 {digest}" for name, digest in (said["model"] or {}).items()]
