"""What makes two runs the same run survives being written down, and everything that matters changes the id."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from winnow.adaption.response import Response
from winnow.adaption.task import Task
from winnow.ports.requests import Price
from winnow.runs.prices import read_prices
from winnow.runs.settings import Settings, changed, check_found
from winnow.values.errors import InputError

CURVE = Response(
    np.array([[2, 1, 0]], np.int64), np.array([[0, 1], [1, 2]], np.int64), np.array([[0.1 + 0.2, np.nan], [1.0, 0.0]])
)


def settings(**changes: Any) -> Settings:
    task = Task(queries=["a?", "b\u2028?"], gold=["1", "2"], stop=("\n", ";"), abstentions=("no",))
    said: dict[str, Any] = {"task": task, "model": "m@1", "evaluator": "survey 2 of m@1", "chat": False}
    return Settings(**{**said, "rows": {"Complete": 64}, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"response": True, "audit": 20, "seed": 3},
        {"response": CURVE},
        {"removed": (3, 17), "repeat": 2},
        {"task": Task(queries=("a?",), evaluator={"verifier": {"regex": "x"}})},
    ],
)
def test_written_down_and_read_back_it_is_the_same_run(changes: dict[str, Any]) -> None:
    before = settings(**changes)
    after = Settings.from_json(json.loads(json.dumps(before.to_json())))
    assert after.to_json() == before.to_json()
    assert after.id == before.id
    assert len(before.id) == 12
    if isinstance(before.response, Response):
        assert isinstance(after.response, Response)
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before.response, after.response, strict=True))


def test_everything_that_matters_changes_the_id_and_is_named() -> None:
    one = settings()
    others = {
        "model": replace(one, model="m@2"),
        "evaluator": replace(one, evaluator="person"),
        "seed": replace(one, seed=1),
        "response": replace(one, response=True),
        "rows": replace(one, rows={"Complete": 32}),
        "repeat": one.repeated(1),
        "removed": replace(one, removed=(1,)),
        "gold": replace(one, task=replace(one.task, gold=["1", "3"])),
        "winnow": replace(one, winnow="9"),
    }
    assert len({one.id, *(other.id for other in others.values())}) == len(others) + 1
    for name, other in others.items():
        (difference,) = changed(one.to_json(), other.to_json())
        assert difference.startswith(name)
    assert changed(one.to_json(), one.to_json()) == []


def test_what_only_python_had_is_asked_for() -> None:
    with pytest.raises(InputError, match="its model and evaluator came from a Python program"):
        check_found("r", {"python": ["model", "evaluator"]}, given={"model": None, "evaluator": None})
    check_found("r", {"python": ["model"]}, given={"model": object(), "evaluator": None})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", "has no 'models'"),
        ("models: {a: 3}", "a: is no price"),
        ("models: {a: {promt: 3}}", "unknown key 'promt' .did you mean 'prompt'"),
        ("models: {a: {prompt: -3}}", "prompt must be a number from 0 up, not -3"),
        ("models: {a: {prompt: yes}}", "must be a number"),
        ("models: [", "is not YAML"),
    ],
)
def test_price_tables_that_are_none(tmp_path: Any, text: str, message: str) -> None:
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_prices(tmp_path / "prices.yaml")


def test_a_price_is_found_by_name_by_its_last_part_or_for_all(tmp_path: Any) -> None:
    (tmp_path / "prices.yaml").write_text(
        "currency: EUR\nmodels: {own/name: {prompt: 2}, b: {call: 1}, '*': {new: 4}}\n"
    )
    prices = read_prices(tmp_path / "prices.yaml")
    assert prices.currency == "EUR"
    assert prices.of("own/name") == Price(0.0, 2e-6, 0.0)
    assert prices.of("/somewhere/b") == Price(1.0, 0.0, 0.0)
    assert prices.of("other") == Price(0.0, 0.0, 4e-6)
