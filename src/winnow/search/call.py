"""``winnow.search(model, prompt, program)``: one prompt, one program, one Result, however it ends."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from winnow.models.grammar import Grammar
from winnow.ports.program import Limits, Note, Observer, Program, Replies, run
from winnow.ports.requests import (
    Appraise,
    Backend,
    Complete,
    Cost,
    Evaluate,
    LanguageModel,
    LogProb,
    Prompt,
    Router,
)
from winnow.search import programs
from winnow.search.problem import MaskedCodec, Problem
from winnow.search.result import Result, result_of
from winnow.values.errors import InputError, LimitReached, WinnowError, nearest
from winnow.values.random import Key
from winnow.values.tree import Tree

Search: TypeAlias = Callable[..., Program[Any]]

BUILT_IN: Mapping[str, Search] = {
    "beam": programs.beam,
    "best-of-n": programs.best_of_n,
    "evolve": programs.evolve,
    "mcts": programs.mcts,
    "smc": programs.smc,
}
GROUP = "winnow.searches"  # entry points of other packages


class SearchStopped(WinnowError):
    """A search ended with an error on its way; ``partial`` is its best so far."""

    def __init__(self, error: WinnowError, partial: Result) -> None:
        super().__init__(str(error))
        self.partial, self.exit_code = partial, error.exit_code


def named(name: str) -> Search:
    """A search by name: a built-in one, an entry point, or ``module:name``.

    Raises
    ------
    InputError
        When there is none of this name; tells the nearest.
    """
    from winnow.evaluators.spec import find

    plain = name.replace("_", "-")
    if plain in BUILT_IN:
        return BUILT_IN[plain]
    if ":" in name:
        return find(name, where="search")
    others = {one.name: one for one in entry_points(group=GROUP)}
    if name in others:
        loaded: Search = others[name].load()
        return loaded
    remedy = f"{nearest(plain, [*BUILT_IN, *others])} or give your own as module:name"
    raise InputError(f"no search is called {name!r}", where="search", remedy=remedy)


def settings_of(search: Search) -> dict[str, inspect.Parameter]:
    """The keyword settings of a search, in order."""
    return {
        name: parameter
        for name, parameter in inspect.signature(search, eval_str=True).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


class Prepared(NamedTuple):
    """A search that is ready to run: what runs, who answers, and what it was given."""

    program: Program[Any]
    backend: Router
    problem: Problem


def prepare(
    model: LanguageModel,
    prompt: Prompt,
    program: str | Search = "beam",
    *,
    key: Key,
    evaluator: Backend | str | None = None,
    masked: Any = None,
    query: str | None = None,
    **settings: Any,
) -> Prepared:
    """What ``search`` runs, for whoever runs it himself: many in lockstep, or inside another program.

    The parameters are those of ``search``; ``key`` is where the random numbers belong.

    Raises
    ------
    InputError
        For an unknown program or setting, or a prompt that is none.
    """
    chosen = named(program) if isinstance(program, str) else program
    check_settings(chosen, settings)
    if isinstance(masked, str):
        from winnow.models.masked import load_masked

        masked = load_masked(masked)
    backend = Router(*(one for one in (model, judge_of(evaluator, model, prompt), masked) if one is not None))
    problem = Problem(
        prompt=prompt,
        query=(prompt if isinstance(prompt, str) else prompt[-1].content) if query is None else query,
        tree=Tree([_row(model, prompt, blanks=masked is not None or chosen is programs.evolve)]),
        codec=model.codec,
        key=key,
        context_length=model.context_length,
        evaluated=Evaluate in backend.answers,
        masked=None
        if masked is None
        else MaskedCodec(masked.codec, masked.mask_token, masked.mask_text, masked.special),
        heads=Appraise in backend.answers,
        causal={Complete, LogProb} <= backend.answers,
    )
    made = chosen(problem, **settings)
    if not isinstance(made, Generator):
        raise InputError(
            f"gives {type(made).__name__}, and is no program", where=_name(chosen), remedy="it must yield requests"
        )
    return Prepared(_checked(made, chosen), backend, problem)


def search(
    model: LanguageModel,
    prompt: Prompt,
    program: str | Search = "beam",
    *,
    seed: int = 0,
    evaluator: Backend | str | None = None,
    masked: Any = None,
    limits: Limits | None = None,
    observer: Observer | None = None,
    query: str | None = None,
    **settings: Any,
) -> Result:
    """Search for continuations of a prompt.

    Parameters
    ----------
    model : a language model; wrap it in ``winnow.models.grammar.Grammar`` to allow only what a grammar does.
    prompt : text, or chat messages.
    program : "beam", "smc", "mcts", "evolve", "best-of-n", a name of an entry point, "module:name", or a function that
        takes a Problem and keyword settings and is a program.
    seed : names the random numbers.
    evaluator : a backend that answers Evaluate, or its spec, such as "likelihood".
    masked : for evolve, a ``winnow.models.masked.Masked`` or its name.
    limits, observer : as in ``winnow.ports.program.run``.
    query : what the evaluator is told the text answers; the prompt unless given.
    settings : the program's own; see ``winnow search NAME --help``.

    Returns
    -------
    Result, a Population; also when a limit or Ctrl-C ended the search after its first note: ``stop`` says so.

    Raises
    ------
    InputError
        For an unknown program or setting (with the nearest name), a number out of range, a prompt with no room after it.
    SearchStopped
        When something fails after the first note; ``partial`` holds the best so far.

    Examples
    --------
    >>> from winnow.models.tabular import Tabular
    >>> found = search(Tabular.random("abc"), "a", "beam", width=3, depth=4)
    >>> len(found), found.stop
    (3, '')
    """
    key = Key(seed).child("search")
    ready = prepare(model, prompt, program, key=key, evaluator=evaluator, masked=masked, query=query, **settings)
    keeper = _Keeper(observer, ready.problem)
    try:
        native = run(ready.program, ready.backend, limits=limits, observer=keeper)
    except (LimitReached, KeyboardInterrupt) as stop:
        if keeper.last is None:
            raise
        return keeper.partial(str(stop) or "interrupted")
    except WinnowError as error:
        if keeper.last is None:
            raise
        raise SearchStopped(error, keeper.partial(str(error))) from error
    result = replace(result_of(native, ready.problem), cost=keeper.cost, problem=ready.problem)
    check_found(result, model)
    return result


def check_found(result: Result, model: LanguageModel) -> None:
    """Make sure that something was found, and behind a grammar that something met it.

    Raises
    ------
    InputError
        When nothing can be written.
    SearchStopped
        When no text met the grammar within the depth.
    """
    if not len(result) or result.log_evidence == -np.inf:
        raise InputError(
            "nothing can be written here: every continuation has probability zero",
            where="search",
            remedy="loosen the grammar, or raise the depth",
        )
    if isinstance(model, Grammar) and not result.finished.any():
        unmet = InputError(
            "no text met it within the depth", where=f"{model.kind} {model.text!r}", remedy="raise depth"
        )
        raise SearchStopped(unmet, replace(result, stop=str(unmet)))


def check_settings(search: Search, settings: Mapping[str, Any]) -> None:
    """Make sure a search has all these settings.

    Raises
    ------
    InputError
        Naming the first it has not, and the nearest it has.
    """
    known = settings_of(search)
    for name in settings:
        if name not in known:
            remedy = nearest(name, known) if known else "it has none"
            raise InputError(f"{_name(search)} has no setting {name!r}", where="search", remedy=remedy)


class _Keeper:
    """Holds the last partial result a search told, and passes on what it hears."""

    def __init__(self, watcher: Observer | None, problem: Problem) -> None:
        self.watcher, self.problem = watcher, problem
        self.cost, self.last = Cost(), None  # type: Cost, Any

    def partial(self, stop: str) -> Result:
        """The best so far, after a note at least."""
        return replace(result_of(self.last, self.problem), cost=self.cost, problem=self.problem, stop=stop)

    def on_note(self, note: Note) -> None:
        self.last = note.info.get("found", self.last)
        if self.watcher is not None:
            self.watcher.on_note(note)

    def on_reply(self, done: int, asked: int, cost: Cost) -> None:
        self.cost = cost
        if self.watcher is not None:
            self.watcher.on_reply(done, asked, cost)


def _checked(program: Program[Any], chosen: Search) -> Program[Any]:
    """What a program refuses before it asks anything is the user's input, and so is whatever breaks in one of his own."""
    asked = False
    replies: Replies = None
    try:
        while True:
            step = program.send(replies)
            asked = True
            replies = yield step
    except StopIteration as stop:
        return stop.value
    except WinnowError:
        raise
    except Exception as error:
        if chosen in BUILT_IN.values():
            if asked or not isinstance(error, ValueError):
                raise
            raise InputError(str(error), where="search") from None
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{_name(chosen)} ({Path(last.filename).name}:{last.lineno})"
        raise InputError(f"raised {type(error).__name__}: {str(error)!r}", where=place) from error
    finally:
        program.close()


def _name(chosen: Search) -> str:
    return str(getattr(chosen, "__name__", chosen))


def judge_of(evaluator: Backend | str | None, model: LanguageModel, prompt: Prompt) -> Backend | None:
    """The evaluator of a search; one that a spec names reads prompt and text as one, not as question and answer."""
    if not isinstance(evaluator, str):
        return evaluator
    from winnow.evaluators.spec import build

    inner = model.model if isinstance(model, Grammar) else model
    apart = isinstance(prompt, str) and prompt and not prompt[-1].isspace()
    return build(evaluator, model=inner, pair="{query} {answer}" if apart else "{query}{answer}")


def _row(model: LanguageModel, prompt: Prompt, *, blanks: bool) -> list[int]:
    """The prompt's tokens; none where it holds blanks that this model has no tokens for."""
    try:
        return model.codec.encode(prompt)
    except InputError:
        if blanks:
            return []
        raise
