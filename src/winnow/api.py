"""Floor 7: what ``import winnow`` shows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from winnow.adaption.context import Context
from winnow.adaption.loop import gold_of, split
from winnow.adaption.response import Response
from winnow.adaption.task import Task
from winnow.adaption.task_file import load_task
from winnow.evaluators.spec import build
from winnow.loading import load
from winnow.ports.chunks import rows_together
from winnow.ports.program import Limits, Observer
from winnow.ports.requests import Backend, Complete, Evaluate, Item, LanguageModel, Router, require
from winnow.result import NOT_IDENTIFIABLE, Run
from winnow.runs.reading import RunRecord, descendants, find
from winnow.runs.settings import Settings, check_found
from winnow.runs.store import Store
from winnow.search.searching import Searching
from winnow.values.errors import ContextError, InputError
from winnow.work import WinnowWarning, opened, work

__all__ = [
    "NOT_IDENTIFIABLE",
    "Run",
    "WinnowWarning",
    "adapt",
    "check_context",
    "evaluator_of",
    "gold_of",
    "resume",
    "retract",
    "split",
    "task",
]


def task(path: str | Path) -> Task:
    """Read a task from a YAML file; see ``examples/facts/task.yaml``."""
    return load_task(Path(path)).task


def evaluator_of(task: Task, model: LanguageModel) -> Backend:
    """The task's evaluator, asking ``model`` where it asks one."""
    spec = task.evaluator
    if not isinstance(spec, str | Mapping):
        return spec
    return build(spec, model=model, gold=gold_of(task), pair=task.pair, header=task.header)


def check_context(task: Task, model: LanguageModel) -> None:
    """Refuse before any work a task whose contexts could outgrow the model's.

    The longest queries stand in for the examples, each with an answer of ``max_tokens`` tokens.

    Raises
    ------
    ContextError
        Naming both lengths, and how many examples would fit.
    """
    codec, template = model.codec, Context(task.pair)
    fixed = len(codec.encode(Context(task.pair, task.header).prompt("", chat=model.chat)))
    pairs = sorted(
        (
            len(codec.encode(Context(task.pair, "", (Item(query, ""),)).prompt("", chat=model.chat)))
            - len(codec.encode(template.prompt("", chat=model.chat)))
            + task.max_tokens
            for query in set(task.queries)
        ),
        reverse=True,
    )
    need = fixed + sum(pairs[: task.examples + 1])
    if need > model.context_length:
        room = np.cumsum([fixed, *pairs]) <= model.context_length
        fit = int(room.sum()) - 2
        remedy = (
            f"at most {fit} examples are sure to fit; set examples, or lower max_tokens"
            if fit > 0
            else "lower max_tokens"
        )
        raise ContextError(
            f"{task.examples} examples and a query may take {need} tokens, the context holds {model.context_length}",
            where="examples",
            remedy=remedy,
        )


def adapt(
    model: LanguageModel,
    task: Task,
    *,
    seed: int = 0,
    audit: int = 0,
    response: bool | Response = False,
    limits: Limits | None = None,
    observer: Observer | None = None,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
    fresh: bool = False,
) -> Run:
    """Let a model get better at a task by selecting its own answers.

    Parameters
    ----------
    model : from ``winnow.load``, or any language model behind the port.
    task : from ``winnow.task`` or ``winnow.Task``.
    seed : names the run's random numbers; the same seed, machine and batch size give the same bytes.
    audit : gold labels to spend, over the rounds, on whether the evaluator carries the loop; 0 is no audit.
    response : True holds queries out (``task.held_out``) and measures the response curve on them first, so that every round
        stands beside its prediction; or a ``Response`` measured before on queries that are not the task's.
    limits, observer : as in ``winnow.ports.program.run``.
    out : a directory for the ledger and the adapted context.
    store : where every reply is kept before the loop sees it: a Store, the path of an SQLite file or an SQLAlchemy URL. The
        same arguments again go on from there. None keeps nothing.
    fresh : begin anew although the store holds this very run.

    Returns
    -------
    Run
        Also when a limit, an audit or an empty buffer ended it: ``run.stop`` says which.

    Raises
    ------
    InputError
        For whatever is wrong with the input, before any work is done; when another process works on this run.
    JournalMismatch
        When the store holds this run and its requests have changed.
    Interrupted
        On Ctrl-C, when there is a store.
    """
    evaluator = evaluator_of(task, model)
    settings = settings_of(model, task, evaluator, seed=seed, audit=audit, response=response)
    return work(
        settings, model, evaluator, limits=limits, observer=observer, out=out, store=store, derive={"fresh": fresh}
    )


def settings_of(
    model: LanguageModel, task: Task, evaluator: Backend, *, seed: int, audit: int, response: bool | Response
) -> Settings:
    """What names a run; everything that can be wrong with it is refused here, before any work.

    Raises
    ------
    InputError
        When gold is needed and missing, the model or evaluator cannot do what is asked, or contexts may not fit.
    """
    if audit < 0 or audit == 1:
        raise InputError(f"takes two labels or more, or 0 for none, not {audit}", where="audit")
    if (audit or response is True) and task.gold is None:
        raise InputError(
            "needs gold labels, and the task has none",
            where="audit" if audit else "response curve",
            remedy="give --gold FILE",
        )
    if response is True:
        split(task, seed=seed)
    check_context(task, model)
    require(Router(model, evaluator), {Complete, Evaluate})
    together = rows_together(model.model if isinstance(model, Searching) else model)
    return Settings(
        task=task,
        model=model.identity,
        evaluator=evaluator.identity,
        chat=model.chat,
        seed=seed,
        audit=audit,
        response=response,
        rows={"Complete": rows_together(model), "LogProb": together, "Evaluate": rows_together(evaluator, together)},
    )


def resume(
    run: str,
    *,
    store: Store | str | Path | None = None,
    model: LanguageModel | None = None,
    evaluator: Backend | None = None,
    limits: Limits | None = None,
    observer: Observer | None = None,
    out: str | Path | None = None,
) -> Run:
    """Go on with a run of a store, from the store alone.

    Parameters
    ----------
    run : its id, or a beginning of it that is nobody else's.
    store : a Store, a path or a URL; the default one unless given.
    model, evaluator : what was given in Python; found again where it was named.

    Raises
    ------
    InputError
        When there is no such run, another process works on it, or its model or evaluator came from a Python program.
    JournalMismatch
        At the first request that differs from the recorded one: input, code or weights changed.
    """
    with opened(store) as open_store:
        record = find(open_store, run)
        settings = Settings.from_json(record.settings)
        found = found_again(record, settings, model, evaluator)
        derive = {"parent": record.parent, "removed": record.removed}
        return work(settings, *found, limits=limits, observer=observer, out=out, store=open_store, derive=derive)


def retract(
    run: str,
    items: Sequence[int],
    *,
    why: str = "",
    store: Store | str | Path | None = None,
    model: LanguageModel | None = None,
    evaluator: Backend | None = None,
    limits: Limits | None = None,
    observer: Observer | None = None,
    out: str | Path | None = None,
) -> Run:
    """Go on without accepted items and everything that descends from them: a run derived from ``run``.

    Their descendants are written anew, in contexts without them; an answer in whose context neither they nor anything
    written anew stands stays what it was. The derived run keeps what was removed, and why, and which descendants went with
    it.

    Parameters
    ----------
    items : numbers of accepted answers.
    why : the reason, for the ledger.
    store, model, evaluator, limits, observer, out : as in ``resume``.
    """
    with opened(store) as open_store:
        record = find(open_store, run)
        lost = [{"item": item, "why": why, "descendants": descendants(open_store, record.id, item)} for item in items]
        before = Settings.from_json(record.settings)
        settings = replace(before, removed=tuple(sorted({*before.removed, *items})))
        found = found_again(record, settings, model, evaluator)
        derive = {"parent": record.id, "removed": [*(record.removed or []), *lost]}
        return work(settings, *found, limits=limits, observer=observer, out=out, store=open_store, derive=derive)


def found_again(
    record: RunRecord, settings: Settings, model: LanguageModel | None, evaluator: Backend | None
) -> tuple[LanguageModel, Backend]:
    """A run's model and evaluator: as given, else loaded and built again."""
    check_found(record.id, record.source, given={"model": model, "evaluator": evaluator})
    model = model or load(**record.source["load"])
    with working_directory(record.source["directory"]):
        return model, evaluator or evaluator_of(settings.task, model)


@contextmanager
def working_directory(path: str) -> Iterator[None]:
    """Within, names are looked up where the run was begun; where that is gone, where we are."""
    before = Path.cwd()
    with suppress(OSError):
        os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)
