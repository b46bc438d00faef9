"""Running what settings say: with or without a store, the ledger written as the notes come, every end written down."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from winnow.adaption.buffer import Answer
from winnow.adaption.iterate import Stop
from winnow.adaption.loop import examples_of, loop, split
from winnow.evaluators.survey import off_scale_warning
from winnow.ports.chunks import in_chunks
from winnow.ports.program import Limits, Note, Observer, Program, run
from winnow.ports.requests import Backend, Complete, Cost, Evaluate, LanguageModel, LogProb, Request, Router
from winnow.result import Run
from winnow.runs.journal import Journal
from winnow.runs.reading import find
from winnow.runs.record import Recorder
from winnow.runs.session import Session, relative
from winnow.runs.settings import Settings, changed, source_of
from winnow.runs.store import Store
from winnow.values.errors import InputError, Interrupted, JournalMismatch, LimitReached, WinnowError
from winnow.values.records import read_text, to_json, write_text

R = TypeVar("R")


class WinnowWarning(UserWarning):
    """Something a user should know about a result that stands."""


def work(
    settings: Settings,
    model: LanguageModel,
    evaluator: Backend,
    *,
    limits: Limits | None,
    observer: Observer | None,
    out: str | Path | None,
    store: Store | str | Path | None,
    derive: Mapping[str, Any],
) -> Run:
    """Run what ``settings`` say, journalled if there is a store; the ledger beside it if there is a directory."""
    task = split(settings.task, seed=settings.seed)[0] if settings.response is True else settings.task
    source = source_of(model, settings.task)
    result = Run(task=task, model=(source["load"] or {}).get("name", model.identity), seed=settings.seed)
    if out is not None:
        claim(Path(out), settings)
    if store is None:
        _loop(settings, Router(model, evaluator), result, limits, _Ledger(observer))
    else:
        with opened(store) as open_store:
            session = Session(open_store, settings, source=source, model=model, **derive)
            result.id, result.store, result.before = session.id, open_store.name, session.before
            with ended(session, result):
                if observer is not None:
                    said = {"run": session.id, "store": open_store.name, "message": greeting(open_store, session)}
                    observer.on_note(Note(kind="run", info=said))
                ledger = _Ledger(observer, session.recorder)
                _loop(settings, session.journal(model, evaluator), result, limits, ledger)
                if result.stop.reason != "limit":
                    session.recorder.finish()
            result.num_asked, result.num_replayed = session.num_asked, session.num_replayed
    warning = off_scale_warning([answer.parts for answer in result.answers])
    if warning is not None:
        warnings.warn(warning, WinnowWarning, stacklevel=3)
    if out is not None:
        result.save(Path(out))
    return result


def kept(
    program: Program[R],
    model: LanguageModel,
    evaluator: Backend,
    *,
    store: Store | None,
    repeat: int = 0,
    rows: Mapping[type[Request[Any]], int],
) -> R:
    """Run a program that is not a loop: no run, no ledger, but what was answered once is not asked again.

    Parameters
    ----------
    repeat : as in ``Settings``; another number is not answered from what this one asked.
    rows : rows of a chunk by type of request.
    """
    backend = Router(model, evaluator)
    journal = backend if store is None else Journal(store, None, backend, repeat=repeat)
    return run(in_chunks(program, rows), journal)


def _loop(settings: Settings, backend: Backend, result: Run, limits: Limits | None, ledger: _Ledger) -> None:
    """Run the loop and fill in what came of it."""
    program = loop(
        settings.task,
        seed=settings.seed,
        chat=settings.chat,
        audit=settings.audit,
        response=settings.response,
        removed=settings.removed,
    )
    rows = {kind: settings.rows[kind.__name__] for kind in (Complete, LogProb, Evaluate)}
    try:
        outcome = run(in_chunks(program, rows), backend, limits=limits, observer=ledger)
        result.answers, result.examples, result.stop = outcome.answers, outcome.context, outcome.stop
    except LimitReached as stop:
        result.answers, result.stop = tuple(ledger.answers), Stop("limit", str(stop))
        result.examples = examples_of(result.task, ledger.answers, seed=settings.seed)
    result.rounds, result.cost = ledger.rounds, ledger.cost
    result.loop_cost = Cost(*(all_ - part for all_, part in zip(ledger.cost, ledger.measuring, strict=True)))


def greeting(store: Store, session: Session) -> str:
    """How a run stands when work on it begins, in words."""
    if session.before is None:
        known = relative(store, session.settings, session.id)
        return "begins" + (f"; {known}" if known else "") + f"; kept in {store.name}"
    if session.before == "done":
        words = "finished before, so it is replayed from the store and asks nothing new (--fresh begins anew)"
    elif session.took_over is not None:
        words = f"goes on; process {session.took_over.pid}, which worked on it, is gone"
    else:
        words = f"goes on from the store ({session.before})"
    found = session.changes(since=session.number - 1)
    changed = f"; since then changed: {', '.join(found)}; figures are computed anew from the replies"
    return words + (changed if found else "")


@contextmanager
def ended(session: Session, result: Run) -> Iterator[None]:
    """Write down how a session went, however it goes."""
    try:
        yield
    except KeyboardInterrupt:
        session.end("interrupted", f"interrupted after {session.num_asked} requests")
        raise Interrupted(
            f"interrupted; {find(session.store, session.id).num_requests} answered requests are kept; "
            f"go on with: winnow resume {session.id}"
        ) from None
    except BaseException as error:
        with suppress(WinnowError):  # the store may be what went wrong
            stands = isinstance(error, JournalMismatch) and session.before not in (None, "running", "killed")
            session.end(str(session.before) if stands else "failed", str(error) or type(error).__name__)
        raise
    session.end("limit" if result.stop.reason == "limit" else "done", result.stop.message)


@contextmanager
def opened(store: Store | str | Path | None) -> Iterator[Store]:
    """A store: as given, or opened here and closed in the end."""
    if isinstance(store, Store):
        yield store
        return
    with Store(store) as mine:
        yield mine


def claim(directory: Path, settings: Settings) -> None:
    """Make a directory this run's: a new or empty one, or the one it had before.

    Raises
    ------
    InputError
        When the directory is used for something else, or for another run (says what differs).
    """
    file, ours = directory / "run.json", settings.to_json()
    if file.exists():
        try:
            theirs = dict(json.loads(read_text(file)))
        except (ValueError, TypeError):
            raise InputError("is no run's", where=str(file), remedy="name a new directory") from None
        differ = changed(theirs, ours)
        if differ:
            raise InputError(
                f"holds another run ({', '.join(differ)} differ)", where=str(directory), remedy="name a new directory"
            )
    elif directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError("is in use", where=str(directory), remedy="name a new or empty directory")
    else:
        write_text(file, to_json(ours, indent=2) + "\n")


class _Ledger:
    """Collects a run's notes and passes them on: first to the store's recorder, then to whoever else watches."""

    def __init__(self, watcher: Observer | None, recorder: Recorder | None = None) -> None:
        self.rounds: list[dict[str, Any]] = []
        self.answers: list[Answer] = []
        self.cost, self.measuring, self.watcher, self.recorder = Cost(), Cost(), watcher, recorder

    def on_note(self, note: Note) -> None:
        if self.recorder is not None:
            self.recorder.on_note(note)
        if note.kind == "response":
            self.measuring = note.cost
        elif note.kind == "round":
            note = replace(note, info={**note.info, "cost": note.cost._asdict()})
            self.rounds.append(dict(note.info))
            assert note.population is not None
            self.answers += note.population.individuals
        if self.watcher is not None:
            self.watcher.on_note(note)

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        self.cost = cost
        if self.watcher is not None:
            self.watcher.on_reply(done, asked, cost)
