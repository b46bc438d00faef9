"""Sending each round's numbers to MLflow or TensorBoard, through their own clients: observers beside the screen.

Numbers only; no query and no answer leaves the run. The names are the ledger's, joined by slashes:
``error``, ``predicted/one_step/error``, ``price/correctness/selection``, ``cost/new_tokens``. A tracker that fails
on the way says so once and is left alone: the run does not depend on it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from types import ModuleType
from typing import Any, Protocol

from winnow.adaption.task import Task
from winnow.ports.program import Note, Observer
from winnow.ports.requests import Cost
from winnow.report.data import plain_task
from winnow.values.errors import InputError, nearest


class Tracker(Observer, Protocol):
    """An observer that has something to close."""

    def close(self) -> None:
        """Send what is left."""
        ...


class TensorBoard:
    """Writes event files into ``directory`` for ``tensorboard --logdir``; rounds are steps."""

    def __init__(self, directory: str, *, name: str, parameters: Mapping[str, str]) -> None:
        _import("tensorboard", "TensorBoard")
        writer = _import("torch.utils.tensorboard", "TensorBoard").SummaryWriter
        self.writer = writer(f"{directory}/{name}")
        self.writer.add_text("parameters", "\n".join(f"    {key}: {value}" for key, value in parameters.items()))

    def on_note(self, note: Note) -> None:
        for name, value in scalars(note):
            self.writer.add_scalar(name, value, note.info["round"])
        self.writer.flush()

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        """Only rounds are sent."""

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()


class MLflow:
    """Logs a run of the experiment "winnow" at a tracking URI; rounds are steps."""

    def __init__(self, uri: str, *, name: str, parameters: Mapping[str, str]) -> None:
        mlflow = _import("mlflow", "MLflow")
        try:
            self.client = mlflow.MlflowClient(tracking_uri=uri)
            known = self.client.get_experiment_by_name("winnow")
            experiment = known.experiment_id if known else self.client.create_experiment("winnow")
            self.run = self.client.create_run(experiment, run_name=name).info.run_id
            for key, value in parameters.items():
                self.client.log_param(self.run, key, value[:500])
        except mlflow.exceptions.MlflowException as error:
            message = str(error).split("\n")[0].split(". ")[0]
            raise InputError(message, where=f"--track mlflow:{uri}", remedy="mlflow:sqlite:///mlflow.db") from None
        self.entity = mlflow.entities.Metric

    def on_note(self, note: Note) -> None:
        now = int(time.time() * 1000)
        sent = [self.entity(name, value, now, note.info["round"]) for name, value in scalars(note)]
        if sent:
            self.client.log_batch(self.run, metrics=sent)

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        """Only rounds are sent."""

    def close(self) -> None:
        """Mark the run as finished."""
        self.client.set_terminated(self.run)


TRACKERS: dict[str, tuple[Callable[..., Tracker], str]] = {
    "mlflow": (MLflow, "sqlite:///mlflow.db"),
    "tensorboard": (TensorBoard, "runs"),
}


def tracker(spec: str, *, name: str, parameters: Mapping[str, str]) -> Tracker:
    """A tracker from ``mlflow``, ``mlflow:URI``, ``tensorboard`` or ``tensorboard:DIR``.

    Raises
    ------
    InputError
        When there is no such tracker, its package is missing, or it does not take the address.
    """
    kind, _, where = spec.partition(":")
    if kind not in TRACKERS:
        raise InputError(f"no tracker {kind!r}", where="--track", remedy=nearest(kind, TRACKERS))
    make, default = TRACKERS[kind]
    return _Guarded(kind, make(where or default, name=name, parameters=parameters))


@contextmanager
def tracked(observer: Observer, spec: str | None, *, task: Task, model: str, seed: int) -> Iterator[Observer]:
    """``observer``, and beside it the tracker of ``spec`` if there is one, closed in the end."""
    if spec is None:
        yield observer
        return
    sent = tracker(spec, name=f"{task.name}-{seed}", parameters=parameters_of(task, model=model, seed=seed))
    try:
        yield Several([observer, sent])
    finally:
        sent.close()


def parameters_of(task: Task, *, model: str, seed: int) -> dict[str, str]:
    """What a tracker is told of a run: everything that is a number or a word, no queries and no gold."""
    said = {field.name: getattr(task, field.name) for field in fields(task)}
    plain = {name: str(value) for name, value in said.items() if isinstance(value, str | int | float)}
    return {"model": model, "seed": str(seed), **plain, "evaluator": str(plain_task(task)["evaluator"])}


class _Guarded:
    """A tracker whose failure is a warning."""

    def __init__(self, name: str, inner: Tracker) -> None:
        self.name, self.inner, self.failed = name, inner, False

    def on_note(self, note: Note) -> None:
        self._try(lambda: self.inner.on_note(note))

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        """Only rounds are sent."""

    def close(self) -> None:
        self._try(self.inner.close)

    def _try(self, act: Callable[[], None]) -> None:
        if self.failed:
            return
        try:
            act()
        except Exception as error:  # whatever a client raises: a network, a disk, a server's refusal
            self.failed = True
            warnings.warn(f"{self.name} failed, no more rounds are sent to it: {error!r}", stacklevel=4)


class Several:
    """Several observers as one, in their order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.observers = observers

    def on_note(self, note: Note) -> None:
        for observer in self.observers:
            observer.on_note(note)

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        for observer in self.observers:
            observer.on_reply(done, asked, cost)


def scalars(note: Note) -> Iterator[tuple[str, float]]:
    """The numbers of a round by name, what is not known left out; nothing for other notes."""
    if note.kind == "round":
        yield from _numbers("", note.info)


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{name}/{key}" if name else str(key), inner)
    elif isinstance(value, list | tuple) and len(value) == 2:  # an interval
        yield from _numbers(f"{name}/low", value[0])
        yield from _numbers(f"{name}/high", value[1])
    elif isinstance(value, int | float) and not isinstance(value, bool) and name != "round":
        yield name, float(value)


def _import(module: str, name: str) -> ModuleType:
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{name} needs the package {error.name}", where="--track", remedy="pip install 'winnow-lm[trackers]'"
        ) from None
