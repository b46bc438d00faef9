"""Tasks as YAML files. A mistake is answered with the file, the line, the column and the nearest known name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from winnow.adaption.task import Task
from winnow.values.errors import InputError, nearest
from winnow.values.records import read_column, read_text

_TYPES: dict[str, type | tuple[type, ...]] = {
    "pair": str,
    "header": str,
    "select": str,
    "buffer": str,
    "draw": str,
    "match": str,
    "model": str,
    "evaluator": (str, dict),
    "stop": (str, list),
    "abstentions": (str, list),
    "queries": (str, list),
    "gold": (str, list),
    "max_tokens": int,
    "candidates": int,
    "examples": int,
    "rounds": int,
    "queries_per_round": int,
    "max_off_scale": (int, float),
    "patience": int,
    "temperature": (int, float),
    "top_p": (int, float),
    "threshold": (int, float),
    "held_out": (int, float),
    "reuse": bool,
    "query_column": str,
    "gold_column": str,
    "seed": int,
    "audit": int,
    "response_curve": bool,
}
_RUN_KEYS = ("model", "seed", "audit", "response_curve")  # said in a task file, but not part of the task


class TaskFile(NamedTuple):
    """A task and what its file says about running it."""

    task: Task
    model: str | None
    seed: int | None
    audit: int | None
    response_curve: bool | None
    evaluator_place: str = ""  # file and line of the evaluator, where a file says it


def load_task(path: Path, **overrides: Any) -> TaskFile:
    """Read a task from YAML; ``overrides`` (None is no override) take the place of keys.

    Paths in the file are relative to it, paths among the overrides to the current directory.

    Raises
    ------
    InputError
        For malformed YAML (line and column), unknown keys (nearest name), values of the wrong type, and whatever the task
        itself refuses.
    """
    lines, values = _parse(path)
    for key in ("queries", "gold"):
        if isinstance(values.get(key), str):
            values[key] = str(path.parent / values[key])
    try:
        name = path.parent.name if path.stem == "task" else path.stem
        made = task_from(name=name, **{**values, **_given(overrides)})
        said = "evaluator" in lines and overrides.get("evaluator") is None
        return made._replace(evaluator_place=f"{path}:{lines['evaluator']}" if said else "")
    except InputError as error:
        line = lines.get(error.where)
        if error.where not in _TYPES:
            raise
        place = f"{path}:{line}: {error.where}" if line else f"{path}: {error.where}"
        raise InputError(str(error).removeprefix(f"{error.where}: "), where=place) from None


def task_from(**values: Any) -> TaskFile:
    """A task from keys and values as they stand in a task file; None is a key not given.

    Raises
    ------
    InputError
        When there are no queries, a file cannot be read, or the task refuses a value.
    """
    values = _given(values)
    settings, source = {key: values.pop(key, None) for key in _RUN_KEYS}, ""
    places: dict[str, list[str]] = {}  # file and line of each query
    read: dict[str, dict[int, str]] = {}  # line to value, where they were read from one file
    for key, default in (("queries", "query"), ("gold", "answer")):
        column = values.pop(f"{default if key == 'queries' else key}_column", default)
        if isinstance(values.get(key), str | Path):
            path = Path(values[key])
            read[key] = dict(read_column(path, column))
            places[key] = [f"{path}:{line}" for line in read[key]]
            if key == "gold" and list(read) == ["queries", "gold"] and str(path) == source:
                values[key] = [_gold_at(line, read[key], path, column) for line in read["queries"]]
            else:
                values[key] = list(read[key].values())
            source = str(path)
        elif key in values:
            values[key] = _texts(values[key], key)
    for key in ("stop", "abstentions"):
        if key in values and not isinstance(values[key], str):
            values[key] = tuple(_texts(values[key], key))
    if "queries" not in values:
        raise InputError("there are none", where="queries", remedy="name a file of queries, or list them")
    stops = values.get("stop", Task.stop)
    for query, place in zip(values["queries"], places.get("queries", [])):
        for stop in [stops] if isinstance(stops, str) else stops:
            if stop and stop in query:
                raise InputError(
                    f"the query contains the stop string {stop!r}",
                    where=place,
                    remedy="put it on one line, or choose another stop string",
                )
    return TaskFile(Task(**values), **settings)


def _gold_at(line: int, gold: dict[int, str], path: Path, column: str) -> str:
    if line not in gold:
        raise InputError(
            f"the query has no {column!r}", where=f"{path}:{line}", remedy="give every query its gold answer"
        )
    return gold[line]


def _texts(values: list[Any], key: str) -> list[str]:
    """Texts of a list in YAML, where an unquoted yes is a truth value and 007 is seven."""
    for value in values:
        if not isinstance(value, str):
            raise InputError(
                f"{value!r} is read as a {type(value).__name__}, not as text", where=key, remedy="put it in quotes"
            )
    return list(values)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _parse(path: Path) -> tuple[dict[str, int], dict[str, Any]]:
    """Line of each key, and the values."""
    text = read_text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise InputError(
            f"is not YAML: {error.problem}", where=place, remedy="check quotes, colons and indentation"
        ) from None
    except yaml.YAMLError as error:
        raise InputError(f"is not YAML: {' '.join(str(error).split())}", where=str(path)) from None
    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        raise InputError(
            "must be a mapping of keys to values", where=f"{path}:1", remedy="see examples/facts/task.yaml"
        )
    lines = {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
    for key, value in values.items():
        known = sorted(_TYPES)
        if key not in _TYPES:
            raise InputError(
                f"unknown key {key!r}", where=f"{path}:{lines.get(str(key), 1)}", remedy=nearest(str(key), known)
            )
        expected = _TYPES[key]
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            names = expected if isinstance(expected, tuple) else (expected,)
            raise InputError(
                f"{key} must be {' or '.join(t.__name__ for t in names)}, not {value!r}", where=f"{path}:{lines[key]}"
            )
    return lines, values
