"""A person at the terminal as an evaluator: shows a query and its answers, takes a score, a pick, a skip or a quit.

Text written by a model is data: every control character in it is made visible, and each of its lines carries a bar, so
that it can neither move the cursor nor pass for a question of ours.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import numpy as np

from winnow.evaluators.spec import Setting, check_names
from winnow.ports.requests import Choice, Choose, Cost, Evaluate, Item, Request, Scores, require
from winnow.values.errors import InputError, LimitReached

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
LEVELS = {"n": 0.0, "y": 1.0, **{str(level): level / 4 for level in range(5)}}


class Person:
    """A backend that asks whoever sits at ``source`` and ``target``.

    ``Evaluate`` takes ``y``, ``n`` or 0 to 4 an item, which become 0 to 1 in quarters, and ``s`` to skip: a skipped item
    scores 0, so that nothing is accepted unseen, and its part ``skipped`` is 1. ``Choose`` takes an option's number, or a
    skip. One request is answered whole or not at all; a run asks one item a request (``rows_together``), so a quit loses
    nothing.

    Parameters
    ----------
    source, target : streams; standard input and standard error unless given, so that standard output stays data.
    name : who answers; two people are two backends.

    Raises
    ------
    LimitReached
        While answering, when the person quits (``q``, the end of input or Ctrl-C); every earlier request is kept.
    """

    def __init__(self, source: TextIO | None = None, target: TextIO | None = None, *, name: str = "somebody") -> None:
        self._source, self._target, self.name = source, target, name
        self._shown = 0

    @property
    def identity(self) -> str:
        return f"person {self.name}"

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        return frozenset({Evaluate, Choose})

    @property
    def rows_together(self) -> int:
        """One: every verdict is kept as it is given."""
        return 1

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        require(self, {type(request) for request in requests})
        for index, request in enumerate(requests):
            if isinstance(request, Evaluate):
                yield index, self._evaluate(request)
            elif isinstance(request, Choose):
                yield index, self._choose(request)

    def _evaluate(self, request: Evaluate) -> Scores:
        given = [self._level(item) for item in request.items]
        parts = tuple({"skipped": float(level is None)} for level in given)
        return Scores(score=np.array([level or 0.0 for level in given], np.float64), parts=parts, cost=Cost())

    def _level(self, item: Item) -> float | None:
        self._shown += 1
        self._show(item.query, (item.answer,))
        said = self._ask(f"no. {self._shown} - right? y, n or 0 to 4; s skips, q quits: ", [*LEVELS, "s"])
        return LEVELS.get(said)

    def _choose(self, request: Choose) -> Choice:
        numbers = [str(number) for number in range(1, len(request.options) + 1)]
        self._show(request.query, request.options, numbers)
        if not numbers:
            return Choice(picked=None, cost=Cost())
        said = self._ask(f"which one? {numbers[0]} to {numbers[-1]}; s skips, q quits: ", [*numbers, "s"])
        return Choice(picked=None if said == "s" else int(said) - 1, cost=Cost())

    def _show(self, query: str, answers: Sequence[str], labels: Sequence[str] = ("answer",)) -> None:
        lines = ["", _barred(query, "query")]
        lines += [_barred(answer, label) for answer, label in zip(answers, labels, strict=True)]
        print("\n".join(lines), file=self._target or sys.stderr)

    def _ask(self, question: str, allowed: Sequence[str]) -> str:
        source, target = self._source or sys.stdin, self._target or sys.stderr
        while True:
            print(question, end="", file=target, flush=True)
            try:
                line = source.readline()
            except KeyboardInterrupt:
                line = ""
            said = line.strip().lower()
            if not line or said in ("q", "quit"):
                print(file=target)
                raise LimitReached(f"{self.name} quit; everything answered before is kept; run it again to go on")
            said = {"yes": "y", "no": "n", "skip": "s"}.get(said, said)
            if said in allowed:
                return said
            print(f"{visible(said)!r} is none of {', '.join(allowed)}, q", file=target)


def visible(text: str) -> str:
    r"""Text with every control, format and surrogate character but the line end written out.

    >>> visible("a\x1b[31mb\u202ec\rd")
    'a\\x1b[31mb\\u202ec\\rd'
    """
    shown = (c if c == "\n" or unicodedata.category(c) not in HIDDEN else _written(c) for c in text)
    return "".join(shown)


def _written(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def _barred(text: str, label: str) -> str:
    lines = visible(text).split("\n")
    return "\n".join(f"{label if i == 0 else '':>8} | {line}" for i, line in enumerate(lines))


def from_spec(setting: Setting, flags: tuple[str, ...], options: Mapping[str, Any]) -> Person:
    """``person [name=..]``."""
    check_names("person", flags, [])
    check_names("person", options, ["name"])
    if not str(options.get("name", "x")).strip():
        raise InputError("name is empty", where="person")
    return Person(name=str(options.get("name", "somebody")))
