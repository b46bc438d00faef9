"""Verifiers: the evaluators that compute instead of asking. A comparison with gold, a pattern, or the user's function.

A verifier knows nothing of models. What a user's function does is the user's; that it fails, or returns something that
is no score, is said in one line with the query it happened on.
"""

from __future__ import annotations

import hashlib
import math
import re
import string
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from winnow.evaluators.spec import Setting, check_names, find
from winnow.ports.requests import Cost, Evaluate, Item, Request, Scores, require
from winnow.values.errors import CapabilityError, InputError, nearest

Check: TypeAlias = Callable[[str, str], bool | float]

ARTICLES = re.compile(r"\b(?:a|an|the)\b")
PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))
NUMBER = re.compile(r"(?:(?<!\w)[-+])?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?")


class Verifier:
    """A backend that scores each item with ``check(query, answer)``.

    Parameters
    ----------
    name : what errors and parts call it.
    check : returns a bool or a number in [0, 1].
    identity : what its verdicts depend on, gold and code included.

    Raises
    ------
    InputError
        While answering, when the check raises or returns no score; names the query and the check.
    """

    def __init__(self, name: str, check: Check, *, identity: str) -> None:
        self.name, self.check, self._identity = name, check, identity

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        return frozenset({Evaluate})

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        require(self, {type(request) for request in requests})
        for index, request in enumerate(requests):
            assert isinstance(request, Evaluate)
            score = np.array([self._score(item) for item in request.items], np.float64)
            yield index, Scores(score=score, parts=tuple({self.name: float(one)} for one in score), cost=Cost())

    def _score(self, item: Item) -> float:
        try:
            value = self.check(item.query, item.answer)
        except InputError:
            raise
        except Exception as error:  # the user's function runs here, and may do anything
            raise InputError(
                f"raised {type(error).__name__}: {_shown(str(error), 120)} on query {_shown(item.query)}",
                where=self.name,
                remedy="it must return True, False or a number in [0, 1] for any text",
            ) from error
        if not isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating) or not 0 <= value <= 1:
            raise InputError(
                f"returned {_shown(repr(value))} on query {_shown(item.query)}",
                where=self.name,
                remedy="return True, False or a number in [0, 1]",
            )
        return float(value)


def exact(gold: Mapping[str, str]) -> Verifier:
    """Right when the answer is gold, surrounding white space aside."""
    return _against(gold, "exact", lambda answer, right: answer.strip() == right.strip())


def normalised(gold: Mapping[str, str]) -> Verifier:
    """Right when the answer is gold but for case, punctuation, articles and white space.

    >>> bool(normalised({"Who?": "The Owl"}).check("Who?", " owl."))
    True
    """
    return _against(gold, "normalised", lambda answer, right: normalise(answer) == normalise(right))


def numeric(gold: Mapping[str, str], *, tolerance: float = 1e-9) -> Verifier:
    """Right when the last number in the answer is within ``tolerance`` (relative) of the last number in gold.

    Raises
    ------
    InputError
        For a negative tolerance, and while answering when a gold answer holds no number.
    """
    if not 0 <= tolerance < math.inf:
        raise InputError(f"tolerance {tolerance} must be a number from 0 up", where="verifier numeric")

    def check(answer: str, right: str) -> bool:
        found, wanted = last_number(answer), last_number(right)
        if wanted is None:
            raise InputError(f"gold {_shown(right)} holds no number", where="verifier numeric")
        return found is not None and math.isclose(found, wanted, rel_tol=tolerance, abs_tol=0.0)

    return _against(gold, "numeric", check, f"tolerance={tolerance!r}")


def matches(pattern: str) -> Verifier:
    r"""Right when the regular expression is found anywhere in the answer; ``(?i)`` in front ignores case.

    >>> bool(matches(r"\bdog\b").check("", "a dog barks"))
    True
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"is no regular expression: {error}", where=f"verifier regex={pattern!r}") from None
    return Verifier("regex", lambda _, answer: compiled.search(answer) is not None, identity=f"regex {pattern!r}")


def function(path: str) -> Verifier:
    """The user's ``module:function``, called with query and answer.

    Its identity holds a hash of the module's file, so that a journal notices when the function changed.
    """
    check = find(path, where=f"verifier {path}")
    source = getattr(sys.modules[path.partition(":")[0]], "__file__", None)
    code = hashlib.sha256(Path(source).read_bytes()).hexdigest()[:16] if source else "built in"
    return Verifier(path, check, identity=f"verifier {path} {code}")


def normalise(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces.

    >>> normalise("The  Owl, an 'early' bird!")
    'owl early bird'
    """
    plain = unicodedata.normalize("NFKC", text).casefold().translate(PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", plain).split())


def last_number(text: str) -> float | None:
    """The last number in a text, thousands separators read; None when there is none.

    >>> last_number("from 3 to -1,250.5 metres")
    -1250.5
    """
    found = NUMBER.findall(text.replace("\N{MINUS SIGN}", "-"))
    return float(found[-1].replace(",", "")) if found else None


def from_spec(setting: Setting, flags: tuple[str, ...], options: Mapping[str, Any]) -> Verifier:
    """``exact``, ``normalised``, ``numeric tolerance=..``, ``regex=..``, ``module:function`` or ``function=..``."""
    kinds = {"exact", "normalised", "numeric", "regex", "function"}
    check_names("verifier", options, {*kinds, "tolerance"})
    chosen = [*flags, *(key for key in options if key in kinds)]
    if len(chosen) != 1:
        said = " and ".join(chosen) or "nothing"
        raise InputError(
            f"is one check, not {said}",
            where="verifier",
            remedy='for example: verifier exact, verifier regex="\\bdog\\b", verifier mymodule:function',
        )
    kind = chosen[0]
    if kind != "numeric" and "tolerance" in options:
        raise InputError(f"tolerance is for numeric, not for {kind}", where="verifier")
    if kind in ("regex", "function"):
        if not options.get(kind):
            raise InputError(
                f"{kind} needs a value", where="verifier", remedy='regex="\\bdog\\b" or function=mymodule:function'
            )
        return matches(str(options[kind])) if kind == "regex" else function(str(options[kind]))
    if ":" in kind:
        return function(kind)
    if kind not in ("exact", "normalised", "numeric"):
        raise InputError(
            f"no verifier is called {kind!r}",
            where="verifier",
            remedy=f"{nearest(kind, kinds)} or give your own as module:function",
        )
    if setting.gold is None:
        raise CapabilityError(
            f"verifier {kind} compares with gold, and there is none",
            where="evaluator",
            remedy="give --gold FILE, or a verifier that needs none: regex=.. or module:function",
        )
    if kind == "numeric":
        return numeric(setting.gold, tolerance=_number(options.get("tolerance", 1e-9)))
    return exact(setting.gold) if kind == "exact" else normalised(setting.gold)


def _against(gold: Mapping[str, str], name: str, same: Callable[[str, str], bool], detail: str = "") -> Verifier:
    def check(query: str, answer: str) -> bool:
        if query not in gold:
            raise InputError(f"no gold answer to {_shown(query)}", where=f"verifier {name}")
        return same(answer, gold[query])

    digest = hashlib.sha256(repr(sorted(gold.items())).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return Verifier(name, check, identity=" ".join(part for part in ("verifier", name, detail, digest) if part))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"tolerance must be a number, not {value!r}", where="verifier numeric") from None


def _shown(text: str, length: int = 60) -> str:
    short = " ".join(text.split())
    return repr(short if len(short) <= length else short[: length - 3] + "...")
