"""A search run over a model is a model: ``Searching(model, "beam", width=8)`` completes with what the search prefers.

So best-of-n works inside adapt, ``bundled+beam:8`` names a model, and a journal keeps a local search as one entry, which a
restart computes anew. What is not Complete passes on to the model itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from winnow import __version__
from winnow.evaluators.spec import build
from winnow.models.stopping import first_stop
from winnow.ports.merging import costed, merge_alike
from winnow.ports.program import Program, gather, run
from winnow.ports.requests import Backend, Codec, Complete, Completions, Cost, LanguageModel, Request
from winnow.search import programs
from winnow.search.best_of_n import BestOfN
from winnow.search.call import Prepared, check_settings, named, prepare, settings_of
from winnow.search.found import Found
from winnow.values.errors import CapabilityError, InputError
from winnow.values.logspace import log_normalise
from winnow.values.random import uniforms
from winnow.values.records import to_json

TOGETHER = 16  # rows of a request whose searches run in lockstep


class Searching:
    """A language model whose completions are searched for; answers Complete, and all else as ``model`` does.

    Each row is a search of its own, to a depth of ``max_tokens``, its random numbers at the row's slot. A stop string that
    is one token ends a text for the search; others cut its text. The completion is the text the search prefers; of SMC,
    whose weights stand for a distribution, one drawn by weight. ``temperature`` and ``top_p`` are those of best-of-n's
    samples; the other searches take the model as it is. Log-probabilities are the model's own, exact.

    Keeps the laws of a backend, not those of a language model: what it writes at temperature 0 need not be greedy.

    Parameters
    ----------
    program, settings : as in ``winnow.search``.
    evaluator : a backend that answers Evaluate, or a spec, which asks ``model`` with a space between prompt and text;
        best-of-n without one takes the likelihood.
    source : the arguments with which ``winnow.load`` makes it again, where it came from there.

    Raises
    ------
    InputError
        For an unknown search or setting.
    """

    def __init__(
        self,
        model: LanguageModel,
        program: str = "beam",
        *,
        evaluator: Backend | str | None = None,
        source: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.model, self.program, self.settings, self.source = model, program.replace("_", "-"), settings, source
        self._search = named(self.program)
        check_settings(self._search, settings)
        if evaluator is None and self._search is programs.best_of_n:
            evaluator = "likelihood"
        judge = build(evaluator, model=model, pair="{query} {answer}") if isinstance(evaluator, str) else evaluator
        self.evaluator: Backend | None = judge
        self.files: Mapping[str, str] = getattr(model, "files", {})

    @property
    def identity(self) -> str:
        return identity_of(self.model, self.program, self.settings, self.evaluator)

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        return self.model.answers | {Complete}

    @property
    def codec(self) -> Codec:
        return self.model.codec

    @property
    def context_length(self) -> int:
        return self.model.context_length

    @property
    def chat(self) -> bool:
        return self.model.chat

    @property
    def rows_together(self) -> int:
        return TOGETHER

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        """Each request by itself, so that its reply is the same to the bit whatever was asked beside it."""
        others = [index for index, request in enumerate(requests) if not isinstance(request, Complete)]
        for position, reply in self.model.answer([requests[index] for index in others]):
            yield others[position], reply
        for index, request in enumerate(requests):
            if isinstance(request, Complete):
                rows = [self._prepared(request, row) for row in range(len(request.prompts))]
                yield index, run(merge_alike(_written(request, rows)), rows[0].backend if rows else self.model)

    def _prepared(self, request: Complete, row: int) -> Prepared:
        known, more = settings_of(self._search), dict[str, Any](depth=request.max_tokens)
        if self._search is programs.best_of_n:
            more |= {"stop": request.stop, "temperature": request.temperature, "top_p": request.top_p}
        elif "end" in known:
            more["end"] = tuple(stop for stop in request.stop if _is_token(self.codec, stop))
        settings = {name: value for name, value in more.items() if name in known} | self.settings
        key = request.key.child("searching", int(request.slots[row]))
        return prepare(self.model, request.prompts[row], self._search, key=key, evaluator=self.evaluator, **settings)


def identity_of(model: Backend, program: str, settings: Mapping[str, Any], *judges: Backend | str | None) -> str:
    """What the result of a search depends on beside the prompt and the seed."""
    asks = "".join(f" asking {one if isinstance(one, str) else one.identity}" for one in judges if one is not None)
    return f"{model.identity} +{program} {to_json(dict(settings))}{asks} winnow {__version__}"


class Written(NamedTuple):
    """The completion that a search prefers."""

    text: str
    logprob: float
    num_tokens: int
    finish: str


def _written(request: Complete, ready: Sequence[Prepared]) -> Program[Completions]:
    rows, total = [], Cost()
    for start in range(0, len(ready), TOGETHER):
        part, slots = ready[start : start + TOGETHER], request.slots[start : start + TOGETHER].tolist()
        found = yield from gather([costed(one.program) for one in part])
        for one, slot, (native, cost) in zip(part, slots, found, strict=True):
            rows.append(_preferred(native, one, request, slot))
            total = total.plus(cost)
    return Completions(
        text=tuple(row.text for row in rows),
        logprob=np.array([row.logprob for row in rows], np.float64),
        num_tokens=np.array([row.num_tokens for row in rows], np.int64),
        finish=tuple(row.finish for row in rows),
        cost=total,
    )


def _preferred(native: Any, ready: Prepared, request: Complete, slot: int) -> Written:
    if isinstance(native, BestOfN):
        one, best = native.completions, native.best
        return Written(one.text[best], float(one.logprob[best]), int(one.num_tokens[best]), one.finish[best])
    if not isinstance(native, Found):
        raise CapabilityError(
            f"gives {type(native).__name__}, and no tokens that continue a prompt",
            where="a search as a model",
            remedy="beam, best-of-n, mcts, smc, or a search of your own that returns Found",
        )
    if not np.isfinite(native.logprob).any():
        raise InputError("nothing can be written here: every continuation has probability zero", where="search")
    at = native.best
    if native.log_evidence is not None:
        share = np.cumsum(np.exp(log_normalise(native.population.log_weight)))
        at = int((share <= uniforms(request.key, "searching", [slot])[0, 0] * share[-1]).sum())
    return _cut(native, at, ready, request.stop)


def _cut(found: Found, at: int, ready: Prepared, stops: Sequence[str]) -> Written:
    """A text up to its first stop string, with the log-probability of the tokens that wrote it."""
    path = found.tree.path(int(found.nodes[at]))
    texts = ready.problem.texts(found.tree, np.array(path))
    for size, text in enumerate(texts, 1):
        place = first_stop(text, stops)
        if place is not None:
            return Written(text[:place], float(found.tree.logprob[path[:size]].sum()), size, "stop")
    ended = bool(path) and int(found.tree.token[path[-1]]) in ready.problem.codec.end_tokens
    return Written(texts[-1], float(found.logprob[at]), len(path), "end" if ended else "length")


def _is_token(codec: Codec, text: str) -> bool:
    """Whether a text is one token behind another one."""
    try:
        head, both = codec.encode("a"), codec.encode("a" + text)
    except InputError:
        return False
    return both[: len(head)] == head and len(both) == len(head) + 1
