"""One-line specs and YAML mappings to evaluators: the table of the built-in ones, and ``module:factory`` for all others.

    survey | survey digits permute | survey question="How good is that?" words="bad|good"
    verifier exact | verifier numeric tolerance=0.01 | verifier regex="\\bdog\\b" | verifier mymodule:function
    likelihood | person | mymodule:factory option=value

In YAML the same: ``survey``, ``{survey: {words: [bad, good]}}``, ``{verifier: {regex: '\\bdog\\b'}}``. A backslash stands
for itself; values with spaces are quoted, singly or doubly.

An evaluator is one file with a factory ``from_spec(setting, flags, options) -> Backend``. This file knows no evaluator
beyond its name, and imports none until it is asked for.
"""

from __future__ import annotations

import importlib
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias, cast

from winnow.ports.requests import Backend, Evaluate, LanguageModel
from winnow.values.errors import CapabilityError, InputError, nearest

PAIR = "Q: {query}\nA: {answer}\n"

BUILT_IN: Mapping[str, str] = {
    "likelihood": "winnow.evaluators.likelihood:from_spec",
    "person": "winnow.evaluators.person:from_spec",
    "survey": "winnow.evaluators.survey:from_spec",
    "verifier": "winnow.evaluators.verifier:from_spec",
}


class Setting(NamedTuple):
    """What a task lends to its evaluator; an evaluator takes what it needs and says when that is missing."""

    model: LanguageModel | None = None
    gold: Mapping[str, str] | None = None  # the right answer to each query
    pair: str = PAIR  # template of one pair, with {query} and {answer}
    header: str = ""  # fixed text before the pairs


class Spec(NamedTuple):
    """A spec taken apart: ``name flag flag option=value``."""

    name: str
    flags: tuple[str, ...] = ()
    options: Mapping[str, Any] = {}


Factory: TypeAlias = Callable[[Setting, tuple[str, ...], Mapping[str, Any]], Backend]


def build(
    spec: str | Mapping[str, Any],
    *,
    model: LanguageModel | None = None,
    gold: Mapping[str, str] | None = None,
    pair: str = PAIR,
    header: str = "",
) -> Backend:
    """The evaluator that a spec names.

    Parameters
    ----------
    spec : a line of text, or a mapping from one name to its options.
    model : whom an evaluator that reads probabilities asks.
    gold : the right answer to each query, for the verifiers that compare.
    pair, header : the task's template of one pair, and the fixed text before the pairs.

    Raises
    ------
    InputError
        For an unknown name (with the nearest known one), option or value.
    CapabilityError
        When the evaluator needs a model or gold that is not there; before anything is asked.
    """
    parsed = parse(spec)
    if ":" not in parsed.name and parsed.name not in BUILT_IN:
        raise InputError(
            f"no evaluator is called {parsed.name!r}",
            where="evaluator",
            remedy=f"{nearest(parsed.name, BUILT_IN)} or give your own as module:factory",
        )
    factory = cast(Factory, find(BUILT_IN.get(parsed.name, parsed.name), where="evaluator"))
    if not _takes_three(factory):
        raise InputError(
            f"{parsed.name} is no evaluator factory",
            where="evaluator",
            remedy=f"it must take (setting, flags, options); for a function of query and answer: verifier {parsed.name}",
        )
    backend = factory(Setting(model, gold, pair, header), parsed.flags, parsed.options)
    if not isinstance(getattr(backend, "answers", None), frozenset) or Evaluate not in backend.answers:
        raise InputError(
            f"{parsed.name} did not return an evaluator",
            where="evaluator",
            remedy="the factory returns a backend whose `answers` holds Evaluate",
        )
    return backend


def parse(spec: str | Mapping[str, Any]) -> Spec:
    """Take a spec apart without looking at what it names.

    >>> parse('survey digits question="How good?"')
    Spec(name='survey', flags=('digits',), options={'question': 'How good?'})
    >>> parse({"verifier": {"exact": True, "tolerance": 0.1}})
    Spec(name='verifier', flags=('exact',), options={'tolerance': 0.1})
    """
    if isinstance(spec, str):
        words = _split(spec)
        if not words:
            raise InputError("is empty", where="evaluator", remedy="for example: survey")
        options = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        return Spec(words[0], tuple(word for word in words[1:] if "=" not in word), options)
    if not isinstance(spec, Mapping) or len(spec) != 1:
        raise InputError(
            "must be one line or one name with its options",
            where="evaluator",
            remedy="for example {survey: {words: [bad, good]}}",
        )
    name, given = next(iter(spec.items()))
    if given is None or isinstance(given, str):
        return parse(f"{name} {given or ''}")
    if not isinstance(given, Mapping):
        raise InputError(f"options of {name} must be key: value, not {given!r}", where="evaluator")
    flags = tuple(str(key) for key, value in given.items() if value is True or value is None)
    options = {str(key): value for key, value in given.items() if value is not None and not isinstance(value, bool)}
    return Spec(str(name), flags, options)


def _takes_three(factory: Factory) -> bool:
    try:
        inspect.signature(factory).bind(Setting(), (), {})
    except (TypeError, ValueError):
        return False
    return True


def _split(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    try:
        return list(lexer)
    except ValueError as error:
        raise InputError(
            f"cannot be read: {error}", where=f"evaluator {line!r}", remedy="close the quotation mark"
        ) from None


def check_names(evaluator: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Make sure every given flag or option is a known one.

    Raises
    ------
    InputError
        Naming the first that is not, and the nearest one that is.
    """
    known = list(known)
    for name in given:
        if name not in known:
            remedy = nearest(name, known) if known else "it takes none of this kind"
            raise InputError(f"{evaluator} has no setting {name!r}", where="evaluator", remedy=remedy)


def need_model(setting: Setting, evaluator: str) -> LanguageModel:
    """The setting's model.

    Raises
    ------
    CapabilityError
        When there is none.
    """
    if setting.model is None:
        raise CapabilityError(f"{evaluator} needs a model to ask", where="evaluator", remedy="give --model")
    return setting.model


def find(path: str, *, where: str) -> Callable[..., Any]:
    """The callable named ``module:function``; the current directory is importable.

    Raises
    ------
    InputError
        When the module cannot be imported (its own error is quoted) or has no such callable (with the nearest name).
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise InputError(f"{path!r} is not module:function", where=where)
    module = _import(module_name, where)
    found = getattr(module, name, None)
    if not callable(found):
        own = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise InputError(
            f"{getattr(module, '__file__', None) or module_name} has no function {name!r}",
            where=where,
            remedy=nearest(name, own) if own else "it has no functions at all",
        )
    return cast(Callable[..., Any], found)


def _import(module_name: str, where: str) -> ModuleType:
    here = os.getcwd()
    if not module_name.startswith("winnow.") and here not in sys.path:
        sys.path.insert(0, here)  # stays: the user's function may import its neighbours when it is called
        importlib.invalidate_caches()
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(error.name + ".")):
            raise InputError(f"module {module_name!r} fails to import: {error}", where=where) from error
        raise InputError(
            f"no module {module_name!r}",
            where=where,
            remedy=f"looked in {here} and among the installed packages",
        ) from None
    except Exception as error:  # the user's module runs here, and may do anything
        raise InputError(
            f"module {module_name!r} fails to import: {type(error).__name__}: {error}", where=where
        ) from error
