"""What a program may ask, what it gets back, and what a backend is.

Requests are arrays: one request asks for many rows, never one object a particle. Each request type names its reply type,
so ``reply = yield from ask(request)`` is typed on both sides. Text enters and leaves through a model's codec only: a
prompt is text or chat messages, a tree holds tokens.

This file does not know who answers, in which order, or what it costs in money.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from winnow.values.errors import CapabilityError, ModelError
from winnow.values.logspace import FloatArray, IntArray, most_probable
from winnow.values.random import Key
from winnow.values.tree import Tree

R = TypeVar("R", covariant=True)

LATER = {"later": True}
"""Marks a field that came after the first journals were written: while it has its default it is left out of a request's
encoding, so that a request that does not use it is still the request it was."""


class Cost(NamedTuple):
    """What answering took. Tokens are counted as fed to the model, padding not counted."""

    calls: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0

    def plus(self, other: Cost) -> Cost:
        """The cost of both."""
        return Cost(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Price(NamedTuple):
    """What an answer costs in money, in whatever currency the price table is in."""

    call: float = 0.0
    prompt_token: float = 0.0
    new_token: float = 0.0

    def of(self, cost: Cost) -> float:
        """The money for a cost."""
        return sum(price * number for price, number in zip(self, cost, strict=True))


class Message(NamedTuple):
    """One turn of a chat prompt; ``role`` is system, user or assistant."""

    role: str
    content: str


Prompt: TypeAlias = str | tuple[Message, ...]


class Item(NamedTuple):
    """A query with an answer to it: what an evaluator looks at."""

    query: str
    answer: str


class Request(Generic[R]):
    """Base of everything that can be asked; ``R`` is the type of the reply."""


# ---- requests to a language model


@dataclass(frozen=True, kw_only=True)
class NextTokens:
    """Log-probabilities after nodes; columns by falling probability (``top``), as asked (``tokens``) or by token (full)."""

    token: IntArray  # [N, K]; one row's numbers seen N times, not to be written to, where all are asked for
    logprob: FloatArray  # [N, K], natural log, normalised over the whole vocabulary
    cost: Cost
    log_mass: FloatArray | None = (
        None  # [N], behind a grammar: log of the probability it leaves; what it forbids is -inf
    )


@dataclass(frozen=True, kw_only=True)
class NextToken(Request[NextTokens]):
    """The next-token distribution at ``nodes`` of ``tree``, reduced where the logits live.

    Exactly one of ``top`` (the K most probable; ties to the smaller token), ``tokens`` (these tokens at every node),
    ``uniform`` (one token a node drawn by inverse CDF over the tokens in order of index) or none of them (the whole
    vocabulary in order of index).
    """

    tree: Tree
    nodes: IntArray  # [N]
    top: int | None = None
    tokens: IntArray | None = None  # [K]
    uniform: FloatArray | None = None  # [N], in [0, 1)

    def __post_init__(self) -> None:
        if sum(x is not None for x in (self.top, self.tokens, self.uniform)) > 1:
            raise ValueError("give one of top, tokens, uniform, or none of them for the whole vocabulary")


@dataclass(frozen=True, kw_only=True)
class Completions:
    """What a model wrote after each prompt."""

    text: tuple[str, ...]  # N, the stop string and what follows it cut off
    logprob: FloatArray  # [N], summed natural log-probability under the model itself, whatever the temperature
    num_tokens: IntArray  # [N], tokens drawn, the stop included
    finish: tuple[str, ...]  # N, each "stop", "end" (the model's own end token) or "length"
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class Complete(Request[Completions]):
    """Sample one completion a prompt.

    Row ``i`` draws its uniforms from ``key`` at slot ``slots[i]``, one a step, by inverse CDF: its text depends neither
    on the other rows nor on their number. ``temperature`` 0 is greedy. Then come, each on what the one before left, with
    its probabilities summing to one again: ``top_p`` keeps the smallest set of most probable tokens that holds at least
    that mass; ``min_p`` keeps tokens at least that many times as probable as the most probable one (Nguyen et al. 2024);
    ``typical`` keeps the smallest set that holds at least that mass of tokens whose surprise is nearest to its mean, the
    entropy (Meister et al. 2022). Ties go to the smaller token.
    """

    prompts: tuple[Prompt, ...]  # N
    slots: IntArray  # [N]
    key: Key
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 1.0
    top_p: float = 1.0
    min_p: float = field(default=0.0, metadata=LATER)
    typical: float = field(default=1.0, metadata=LATER)

    def __post_init__(self) -> None:
        if len(self.prompts) != self.slots.shape[0]:
            raise ValueError(f"{len(self.prompts)} prompts but {self.slots.shape[0]} slots")


@dataclass(frozen=True, kw_only=True)
class LogProbs:
    """Summed log-probabilities of continuations, row by row of the request."""

    logprob: tuple[FloatArray, ...]  # N rows of [K_i], natural log, by the chain rule over the continuation's tokens
    num_tokens: tuple[IntArray, ...]  # N rows of [K_i]
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class LogProb(Request[LogProbs]):
    """How probable each given continuation is after its prompt; several continuations share one encoding of the prompt."""

    prompts: tuple[Prompt, ...]  # N
    continuations: tuple[tuple[str, ...], ...]  # N rows of K_i

    def __post_init__(self) -> None:
        if len(self.prompts) != len(self.continuations):
            raise ValueError(f"{len(self.prompts)} prompts but {len(self.continuations)} rows of continuations")


# ---- requests to a masked model, and to heads on a language model


@dataclass(frozen=True, kw_only=True)
class FillMask(Request[NextTokens]):
    """A masked model's distribution at one hidden place of each row.

    Reduced as NextToken is: ``tokens`` (these, row by row), ``uniform`` (one a row by inverse CDF over the tokens in
    order of index) or neither (the whole vocabulary). Special tokens have probability zero; the others are normalised.
    """

    rows: tuple[IntArray, ...]  # N rows of tokens, as the model's codec writes a text
    hidden: tuple[IntArray, ...]  # N, the places that are masked all at once
    read: IntArray  # [N], the place whose distribution is asked for, hidden or not
    tokens: IntArray | None = None  # [N, K]
    uniform: FloatArray | None = None  # [N], in [0, 1)

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.hidden) == self.read.shape[0]:
            raise ValueError(
                f"{len(self.rows)} rows, {len(self.hidden)} hidden, {self.read.shape[0]} read: give one each"
            )
        if self.tokens is not None and self.uniform is not None:
            raise ValueError("give one of tokens, uniform, or none of them for the whole vocabulary")


@dataclass(frozen=True, kw_only=True)
class Appraisals:
    """What two heads say of unfinished texts."""

    value: FloatArray  # [N], in [0, 1]: how good a text this will be
    done: FloatArray  # [N], in [0, 1]: how surely it is finished as it stands
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class Appraise(Request[Appraisals]):
    """Ask a value head and an is-done head about texts as far as they are written."""

    rows: tuple[IntArray, ...]  # N rows of tokens, the prompt's first


# ---- requests to an evaluator or a person


@dataclass(frozen=True, kw_only=True)
class Scores:
    """An evaluator's verdicts; ``parts`` holds what each score was made of."""

    score: FloatArray  # [N], in [0, 1]
    parts: tuple[Mapping[str, float], ...]  # N
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class Evaluate(Request[Scores]):
    """Score answers to queries."""

    items: tuple[Item, ...]  # N


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The picked option's index, or None for a skip."""

    picked: int | None
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class Choose(Request[Choice]):
    """Ask somebody to pick one of ``options`` as the answer to ``query``."""

    query: str
    options: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Searched:
    """All that a search found and said, as JSON text (``winnow.search.result.Result.record``)."""

    record: str
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class Search(Request[Searched]):
    """A whole search for continuations of a prompt; which search, and how, is who is asked."""

    prompt: Prompt
    seed: int
    query: str | None = None  # what an evaluator is told the text answers


# ---- who answers


class Backend(Protocol):
    """Whatever answers requests: a model, an evaluator, a person, a program run over another backend."""

    @property
    def identity(self) -> str:
        """What the answers depend on besides the request: names and hashes of weights, settings. Two backends of one
        identity answer alike."""
        ...

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        """The request types this backend can answer."""
        ...

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        """Yield ``(index into requests, reply)`` as they arrive, in any order, each index once."""
        ...


class Codec(Protocol):
    """The one place where text and tokens meet."""

    @property
    def vocabulary_size(self) -> int: ...

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """Tokens with which the model ends a text."""
        ...

    def encode(self, prompt: Prompt) -> list[int]:
        """Tokens of a prompt, with whatever the model wants before it."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens, special tokens left out."""
        ...


class LanguageModel(Backend, Protocol):
    """A backend that is a language model: it has a codec and a context of a known length."""

    @property
    def codec(self) -> Codec: ...

    @property
    def context_length(self) -> int: ...

    @property
    def chat(self) -> bool:
        """True when prompts should be chat messages rather than text."""
        ...


class Router:
    """A backend that sends each request to the first of its backends that can answer it."""

    def __init__(self, *backends: Backend) -> None:
        self.backends = backends

    @property
    def identity(self) -> str:
        return " | ".join(backend.identity for backend in self.backends)

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        return frozenset().union(*(backend.answers for backend in self.backends))

    def route(self, kind: type[Request[Any]]) -> Backend:
        """Who answers requests of a type.

        Raises
        ------
        CapabilityError
            When nobody does.
        """
        require(self, {kind})
        return next(backend for backend in self.backends if kind in backend.answers)

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        require(self, {type(request) for request in requests})
        route = [self.route(type(request)) for request in requests]
        for backend in dict.fromkeys(route):
            mine = [index for index, chosen in enumerate(route) if chosen is backend]
            for position, reply in backend.answer([requests[index] for index in mine]):
                if not 0 <= position < len(mine):
                    raise ModelError(f"{backend.identity}: replied twice, or to what nobody asked ({position})")
                yield mine[position], reply


def require(backend: Backend, types: set[type[Any]]) -> None:
    """Make sure a backend can answer these request types, before anything is asked.

    Raises
    ------
    CapabilityError
        Naming what is missing and what the backend does answer.
    """
    missing = sorted(kind.__name__ for kind in types if kind not in backend.answers)
    if missing:
        known = ", ".join(sorted(kind.__name__ for kind in backend.answers)) or "nothing"
        raise CapabilityError(
            f"cannot answer {', '.join(missing)}",
            where=backend.identity,
            remedy=f"it answers {known}; choose another model or evaluator",
        )


def select_tokens(logprob: FloatArray, request: NextToken) -> tuple[IntArray, FloatArray]:
    """Reduce full log-probabilities ``[N, V]`` to what a NextToken request asks: ``(token, logprob)`` each ``[N, K]``.

    The reference reduction: backends that hold logits elsewhere must agree with it.
    """
    rows, vocabulary = logprob.shape
    if request.uniform is not None:
        token = draw(logprob, request.uniform)[:, None]
    elif request.tokens is not None:
        token = np.broadcast_to(request.tokens, (rows, request.tokens.size)).astype(np.int64)
    elif request.top is not None:
        token = most_probable(logprob, request.top)
    else:
        token = np.broadcast_to(np.arange(vocabulary), logprob.shape)
    return token, np.take_along_axis(logprob, token, axis=1)


def draw(logprob: FloatArray, uniform: FloatArray) -> IntArray:
    """One token a row by inverse CDF, tokens in order of index: ``[N]``. Tokens of probability zero are never drawn."""
    cumulative = np.cumsum(np.exp(logprob), axis=1)
    return np.asarray((cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(axis=1), np.int64)
