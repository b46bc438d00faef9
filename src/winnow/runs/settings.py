"""What makes two runs the same run, as JSON, and back: task, model, evaluator, seed and all that the loop is told.

A run's id is the hash of its settings, so the same command finds its run again. Where the model lies and which command was
typed is not part of them; which bytes it has is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from winnow import __version__
from winnow.adaption.response import Response
from winnow.adaption.task import Task
from winnow.ports.requests import LanguageModel
from winnow.runs.encoding import line
from winnow.runs.provenance import Loaded
from winnow.values.errors import InputError

PYTHON = "python"  # stands for an evaluator that was an object


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the id of a run is the hash of.

    Parameters
    ----------
    task : as given, before queries are held out.
    model, evaluator : identities, hashes of weights and code included.
    rows : rows of a chunk by type of request; chunks of another size move last bits.
    repeat : tells apart runs of one content that must not be answered from each other (``--fresh``).
    removed : numbers of answers taken out (``winnow retract --apply``).
    """

    task: Task
    model: str
    evaluator: str
    chat: bool
    seed: int = 0
    audit: int = 0
    response: bool | Response = False
    rows: Mapping[str, int]
    repeat: int = 0
    removed: tuple[int, ...] = ()
    winnow: str = __version__

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        task = {field.name: getattr(self.task, field.name) for field in fields(self.task)}
        if not isinstance(self.task.evaluator, str | Mapping):
            task["evaluator"] = {PYTHON: self.evaluator}
        curve = said["response"]
        if isinstance(curve, Response):
            score = [[None if np.isnan(x) else x for x in row] for row in curve.score.tolist()]
            said["response"] = {"context": curve.context.tolist(), "kind": curve.kind.tolist(), "score": score}
        return dict(json.loads(line({**said, "task": task, "rows": dict(self.rows)})))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """What ``to_json`` gave. An evaluator given in Python comes back as a mapping that nothing can build."""
        task = dict(data["task"])
        for name in ("stop", "abstentions"):
            task[name] = tuple(task[name])
        curve = data["response"]
        if isinstance(curve, Mapping):
            score = [[np.nan if x is None else x for x in row] for row in curve["score"]]
            curve = Response(
                np.array(curve["context"], np.int64), np.array(curve["kind"], np.int64), np.array(score, np.float64)
            )
        rest = {**data, "task": Task(**task), "response": curve, "removed": tuple(data["removed"])}
        return cls(**rest)

    @property
    def id(self) -> str:
        """Twelve hex digits."""
        return hashlib.sha256(line(self.to_json())).hexdigest()[:12]

    def repeated(self, times: int) -> Settings:
        """The same, to be asked anew."""
        return replace(self, repeat=times)


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Which settings differ, in words."""
    found = []
    for name in now:
        old, new = before.get(name), now[name]
        if name == "task" and isinstance(old, Mapping):
            found += [key for key in new if old.get(key) != new[key]]
        elif old != new:
            found.append(f"{name} {old} -> {new}" if len(f"{old}{new}") < 120 else name)
    return found


def source_of(model: LanguageModel, task: Task) -> dict[str, Any]:
    """How model and evaluator are found again: arguments of ``winnow.load``, directory, and what only Python had."""
    loaded = dict(model.source) if isinstance(model, Loaded) and model.source else None
    only_python = ["model"] if loaded is None else []
    if not isinstance(task.evaluator, str | Mapping) or PYTHON in task.evaluator:
        only_python.append("evaluator")
    return {"load": loaded, "directory": str(Path.cwd()), "python": only_python}


def check_found(run: str, source: Mapping[str, Any], *, given: Mapping[str, object]) -> None:
    """Make sure that what a run needs beside the store is given.

    Raises
    ------
    InputError
        When its model or evaluator was an object of a Python program.
    """
    missing = [name for name in source["python"] if given[name] is None]
    if missing:
        raise InputError(
            f"its {' and '.join(missing)} came from a Python program",
            where=f"run {run}",
            remedy="run that program again: it goes on from the store",
        )
