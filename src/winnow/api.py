"""Floor 7: what ``import winnow`` shows. Puts a journal under the programs and a ledger beside them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from winnow import __version__
from winnow.adaption.buffer import Answer
from winnow.adaption.context import Context
from winnow.adaption.iterate import Outcome, Stop
from winnow.adaption.loop import gold_of, loop, split
from winnow.adaption.response import Response
from winnow.adaption.task import Task
from winnow.adaption.task_file import load_task
from winnow.evaluators.spec import build
from winnow.evaluators.survey import off_scale_warning
from winnow.ports.program import Limits, Note, Observer, run
from winnow.ports.requests import Backend, Complete, Cost, Evaluate, Item, LanguageModel, Router, require
from winnow.runs.journal import FileJournal
from winnow.table import table
from winnow.values.errors import ContextError, InputError, LimitReached
from winnow.values.records import read_text, to_json, write_jsonl, write_text

NOT_IDENTIFIABLE = "sensitivity and false-positive rate are not identifiable from one evaluator"


class WinnowWarning(UserWarning):
    """Something a user should know about a result that stands."""


def task(path: str | Path) -> Task:
    """Read a task from a YAML file; see ``examples/facts/task.yaml``."""
    return load_task(Path(path)).task


@dataclass(kw_only=True)
class Run:
    """A loop that ran, as far as it ran.

    ``rounds`` holds one record a round (``winnow.adaption.ledger`` names its keys); ``stop`` says why it ended.
    """

    task: Task
    model: str
    seed: int
    rounds: list[dict[str, Any]] = field(default_factory=list)
    answers: tuple[Answer, ...] = ()
    examples: tuple[Answer, ...] = ()
    stop: Stop = Stop("limit", "not begun")
    cost: Cost = Cost()  # of everything
    loop_cost: Cost = Cost()  # of the rounds alone, without the response curve

    @property
    def context(self) -> Context:
        """What the next query would be answered in."""
        return Context(self.task.pair, self.task.header, tuple(answer.item for answer in self.examples))

    def table(self) -> str:
        """One line a round."""
        return table(self.rounds)

    def conclusion(self) -> list[str]:
        """What happened, in words: how the loop ended, what is known of the evaluator, and what it cost."""
        lines = [f"stopped: {self.stop.message}"]
        if len(self.rounds) > 1 and self.rounds[0]["error"] is not None:
            first, last = self.rounds[0], self.rounds[-1]
            lines.append(
                f"error {first['error']:.3f} -> {last['error']:.3f} {_range(last['error_interval'])} after {last['round']} rounds"
                f" (n = {last['queries']} a round)"
            )
        elif len(self.rounds) > 1:
            first, last = self.rounds[0], self.rounds[-1]
            lines.append(
                f"mean score {first['mean_score']:.3f} -> {last['mean_score']:.3f} (n = {last['queries']} a round)"
            )
        if self.rounds and self.rounds[0]["error"] is None:
            lines.append(NOT_IDENTIFIABLE)
        if self.rounds and (audit := self.rounds[0]["audit"]):
            lines.append(
                f"audit, {audit['labels']} labels: s {audit['sensitivity']:.2f}, f {audit['false_positive_rate']:.2f}, "
                f"one-sided 95 % bound of s - f {audit['bound']:+.3f}"
            )
        lines.append(
            f"cost: {self.cost.calls} calls, {self.cost.prompt_tokens:,} prompt and {self.cost.new_tokens:,} new tokens"
        )
        return lines

    def save(self, directory: Path) -> None:
        """Write the ledger into a directory: rounds, answers, lineage, and the adapted context as text and messages."""
        write_jsonl(directory / "rounds.jsonl", self.rounds)
        write_jsonl(directory / "answers.jsonl", [_answer_record(answer) for answer in self.answers])
        edges = Outcome(self.answers, self.examples, None, self.stop).lineage
        lines = [
            f"{c},{p},{s!r}\n"
            for c, p, s in zip(edges.child.tolist(), edges.parent.tolist(), edges.share.tolist(), strict=True)
        ]
        write_text(directory / "lineage.csv", "child,parent,share\n" + "".join(lines))
        settings = {name: getattr(self.task, name) for name in ("max_tokens", "temperature", "top_p")}
        self.context.save(
            directory, model=self.model, stop=list(self.task.stop), made_by=f"winnow {__version__}", **settings
        )


class _Ledger:
    """Collects a run's notes and passes them on to whoever else watches."""

    def __init__(self, watcher: Observer | None) -> None:
        self.rounds: list[dict[str, Any]] = []
        self.answers: list[Answer] = []
        self.cost, self.measuring, self.watcher = Cost(), Cost(), watcher

    def on_note(self, note: Note) -> None:
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
) -> Run:
    """Let a model get better at a task by selecting its own answers.

    Parameters
    ----------
    model : from ``winnow.load``, or any language model behind the port.
    task : from ``winnow.task`` or ``winnow.Task``.
    seed : names the run's random numbers; the same seed, machine and batch size give the same bytes.
    audit : gold labels to spend on whether the evaluator can carry the loop; 0 is no audit.
    response : True holds queries out (``task.held_out``) and measures the response curve on them first, so that every round
        stands beside its prediction; or a ``Response`` measured before on queries that are not the task's.
    limits, observer : as in ``winnow.ports.program.run``.
    out : a directory for the ledger, the adapted context and the journal; running again with the same arguments goes on
        from the journal.

    Returns
    -------
    Run
        Also when a limit, an audit or an empty buffer ended it: ``run.stop`` says which.

    Raises
    ------
    InputError
        For whatever is wrong with the input, before any work is done.
    """
    if (audit or response is True) and task.gold is None:
        raise InputError(
            "needs gold labels, and the task has none",
            where="audit" if audit else "response curve",
            remedy="give --gold FILE",
        )
    check_context(task, model)
    backend: Backend = Router(model, evaluator_of(task, model))
    require(backend, {Complete, Evaluate})
    program = loop(task, seed=seed, chat=model.chat, audit=audit, response=response)
    if response is True:
        task, _ = split(task, seed=seed)
    ledger = _Ledger(observer)
    result = Run(task=task, model=getattr(model, "name", model.identity), seed=seed)
    journal = open_journal(Path(out), task, model, seed, backend) if out is not None else None
    try:
        outcome = run(program, journal or backend, limits=limits, observer=ledger)
        result.answers, result.examples, result.stop = outcome.answers, outcome.context, outcome.stop
    except LimitReached as stop:
        result.answers, result.stop = tuple(ledger.answers), Stop("limit", str(stop))
        kept = [answer for answer in ledger.answers if answer.accepted and answer.round == ledger.answers[-1].round]
        result.examples = tuple(kept[: task.examples])
    finally:
        if journal is not None:
            journal.close()
    result.rounds, result.cost = ledger.rounds, ledger.cost
    result.loop_cost = Cost(*(all_ - part for all_, part in zip(ledger.cost, ledger.measuring, strict=True)))
    warning = off_scale_warning([answer.parts for answer in result.answers])
    if warning is not None:
        warnings.warn(warning, WinnowWarning, stacklevel=2)
    if out is not None:
        result.save(Path(out))
    return result


def open_journal(directory: Path, task: Task, model: LanguageModel, seed: int, backend: Backend) -> FileJournal:
    """The journal in ``directory``: a new one in a new or empty directory, the one of the same run where there is one.

    Raises
    ------
    InputError
        When the directory is used for something else, or for another run (says what differs).
    """
    said = {one.name: getattr(task, one.name) for one in fields(task)} | {"evaluator": backend.identity}
    ours = {"winnow": __version__, "model": model.identity, "seed": seed, "task": _plain(said)}
    file = directory / "run.json"
    if file.exists():
        theirs = json.loads(read_text(file))
        changed = [name for name in ours if theirs.get(name) != _plain(ours[name])]
        if changed:
            raise InputError(
                f"holds another run ({', '.join(changed)} differ)", where=str(directory), remedy="name a new directory"
            )
    elif directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError("is in use", where=str(directory), remedy="name a new or empty directory")
    else:
        write_text(file, to_json(_plain(ours), indent=2) + "\n")
    return FileJournal(directory / "journal.jsonl", backend)


def _plain(value: Any) -> Any:
    """What JSON makes of a value: tuples are lists."""
    return json.loads(to_json(value))


def _answer_record(answer: Answer) -> dict[str, Any]:
    record = answer._asdict()
    item = record.pop("item")
    return {**record, "query": item.query, "answer": item.answer}


def _range(interval: list[float]) -> str:
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]"
