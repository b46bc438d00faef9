"""Every error Winnow raises on purpose, and the exit code each one ends a command with.

    WinnowError                 1   something went wrong that is nobody's input
    ├── InputError              2   what the user gave is wrong: says where, what, and what to do
    │   ├── CapabilityError     2   the model or evaluator cannot do what is asked (found before any paid call)
    │   ├── ContextError        2   a prompt does not fit into the model's context (both lengths are named)
    │   └── MemoryBoundError    2   keys and values do not fit into the memory they may take (says what would)
    ├── LimitReached            3   a limit the user set was met between two requests; what was paid for is kept
    ├── Refused                 4   the evaluator cannot carry the loop, so the loop does not go on
    ├── JournalMismatch         5   a recorded run asks something else than it recorded
    ├── ModelError              6   a model answered with something that is no answer (NaN, nothing, too little)
    └── Interrupted           130   Ctrl-C; says what is kept and how to go on (a KeyboardInterrupt as well)

A message is one line: what was wrong, where, and what to do about it. A user never sees a traceback for a mistake
of their own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WinnowError(Exception):
    """The root of the tree; catches everything Winnow raises on purpose."""

    exit_code = 1


class InputError(WinnowError):
    """Something the user gave is wrong.

    Parameters
    ----------
    message : what is wrong, in one line.
    where : file, or file:line, or a key - whatever leads the user to the place.
    remedy : what to do about it.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(": ".join(part for part in (where, message) if part) + (f" ({remedy})" if remedy else ""))
        self.where, self.remedy = where, remedy


class CapabilityError(InputError):
    """The model or evaluator cannot do what is asked; raised before the first paid call."""


class ContextError(InputError):
    """A prompt is longer than the model's context. Nothing is dropped silently."""


class MemoryBoundError(InputError):
    """Keys and values of one row, or of one search's tree, are larger than the bound on them."""


class LimitReached(WinnowError):
    """A limit was met between two requests. Everything answered until then is kept."""

    exit_code = 3


class Refused(WinnowError):
    """The loop does not go on because the evaluator cannot be shown to carry it."""

    exit_code = 4


class JournalMismatch(WinnowError):
    """The journal holds another request than the one being asked: the code, its version or the input changed."""

    exit_code = 5


class ModelError(WinnowError):
    """A model answered with something that is no answer."""

    exit_code = 6


class Interrupted(WinnowError, KeyboardInterrupt):
    """The user interrupted a run that is kept: says what of it, and the command that goes on."""

    exit_code = 130


def nearest(word: str, choices: Iterable[str]) -> str:
    """A remedy for an unknown name: the closest known one, else the list of them.

    >>> nearest("evaluater", ["evaluator", "rounds"])
    "did you mean 'evaluator'?"
    >>> nearest("zzz", ["evaluator", "rounds"])
    'known: evaluator, rounds'
    """
    known = sorted(choices)
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
