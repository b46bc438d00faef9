"""A language model given by a table: order-k Markov over a handful of symbols, every probability exact in float64.

Small enough to enumerate, so that what a search or an estimator should give can be computed and not guessed. Answers
NextToken, Complete and LogProb by the same rules as a trained model and obeys every law in ``winnow.ports.laws``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike

from winnow.models.sampling import temper
from winnow.models.stopping import first_stop
from winnow.models.symbols import Symbols
from winnow.ports.requests import (
    Complete,
    Completions,
    Cost,
    LogProb,
    LogProbs,
    NextToken,
    NextTokens,
    Prompt,
    Request,
    draw,
    require,
    select_tokens,
)
from winnow.values.errors import ContextError
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, uniforms


class Texts(NamedTuple):
    """Everything a model can write, up to a length: the whole probability, once."""

    text: tuple[str, ...]  # N
    tokens: tuple[tuple[int, ...], ...]  # N, the end token included where the text ended
    logprob: FloatArray  # [N], natural log; the exponentials sum to one
    ended: tuple[bool, ...]  # N, whether the end token was written (else the text was cut at the length)


class Tabular:
    """A Markov chain over symbols as a language model.

    The next token depends on the last ``order`` tokens. Before the first token, and after an end, the border token
    stands in for what is missing; the border is the end token itself, which has the last index.

    Parameters
    ----------
    vocabulary : the symbols; a string gives one a character.
    table : probabilities ``[V ** order, V]`` with ``V = len(vocabulary) + 1``; the row of a context is its tokens read as
        a number in base V, the oldest token first. Each row sums to one.
    context_length : longest row in tokens.

    Raises
    ------
    ValueError
        When the table has another shape, or a row is no distribution (within 1e-9).

    Examples
    --------
    >>> from winnow.ports.requests import LogProb
    >>> model = Tabular("ab", [[0.5, 0.25, 0.25]])
    >>> request = LogProb(prompts=("a",), continuations=(("b", "ab"),))
    >>> [(index, np.exp(reply.logprob[0]).round(12).tolist()) for index, reply in model.answer([request])]
    [(0, [0.25, 0.125])]
    """

    def __init__(self, vocabulary: Sequence[str], table: ArrayLike, *, context_length: int = 1024) -> None:
        self._codec = Symbols(vocabulary)
        self.table: FloatArray = np.array(table, np.float64)  # [V ** order, V], linear
        size = self._codec.vocabulary_size
        self.order = next((k for k in range(17) if self.table.shape == (size**k, size)), -1)
        if self.order < 0:
            raise ValueError(f"the table is {self.table.shape}, it must be [{size} ** order, {size}]")
        if np.any(self.table < 0) or not np.allclose(self.table.sum(axis=1), 1.0, atol=1e-9, rtol=0):
            raise ValueError("every row of the table must be a distribution")
        with np.errstate(divide="ignore"):
            self._logprob = np.log(self.table)
        self._context_length = context_length

    @classmethod
    def random(
        cls, vocabulary: Sequence[str] = "abc", *, order: int = 1, key: Key | None = None, context_length: int = 1024
    ) -> Tabular:
        """A table with every row drawn evenly from all distributions (Dirichlet with all ones).

        ``key`` is ``Key(0)`` unless given.

        >>> Tabular.random("abc", order=1, key=Key(0)).table.shape
        (4, 4)
        """
        size = len(vocabulary) + 1
        weight = -np.log1p(-uniforms(key or Key(0), "tabular", np.arange(size**order), size))
        return cls(vocabulary, weight / weight.sum(axis=1, keepdims=True), context_length=context_length)

    @property
    def identity(self) -> str:
        digest = hashlib.sha256(repr((self._codec.symbols, self.table.shape, self._context_length)).encode())
        digest.update(self.table.tobytes())
        return f"tabular@{digest.hexdigest()[:16]}"

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        return frozenset({NextToken, Complete, LogProb})

    @property
    def codec(self) -> Symbols:
        return self._codec

    @property
    def context_length(self) -> int:
        return self._context_length

    @property
    def chat(self) -> bool:
        return False

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        """Replies in order.

        Raises
        ------
        CapabilityError, InputError, ContextError
            Before any reply: another type of request, a text it has no tokens for, a row longer than the context.
        """
        require(self, {type(request) for request in requests})
        rows = [self._rows(request) for request in requests]
        for index, (request, mine) in enumerate(zip(requests, rows, strict=True)):
            if isinstance(request, NextToken):
                yield index, self._next_token(request, mine)
            elif isinstance(request, Complete):
                yield index, self._complete(request, mine)
            else:
                yield index, self._score(cast(LogProb, request), mine)

    def enumerate_texts(self, max_length: int, prompt: Prompt = "") -> Texts:
        """All texts of at most ``max_length`` tokens after a prompt, with their exact log-probabilities.

        A text of ``max_length`` symbols is there as one that was cut, so the probabilities sum to one and are those of
        ``Complete`` with ``max_tokens=max_length``. Grows as ``len(vocabulary) ** max_length``. Texts of zero
        probability are left out.

        >>> texts = Tabular.random("ab").enumerate_texts(3)
        >>> len(texts.text), float(np.exp(texts.logprob).sum().round(12))
        (15, 1.0)
        """
        head, end = self._codec.encode(prompt), self._codec.end_tokens[0]
        done: list[tuple[tuple[int, ...], float]] = []
        live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
        for _ in range(max_length):
            grown = [
                ((*tokens, token), logprob + float(self._logprob[self._state([*head, *tokens]), token]))
                for tokens, logprob in live
                for token in range(end + 1)
            ]
            grown = [one for one in grown if one[1] > -np.inf]
            done += [one for one in grown if one[0][-1] == end]
            live = [one for one in grown if one[0][-1] != end]
        tokens = tuple(one[0] for one in done + live)
        return Texts(
            text=tuple(self._codec.decode(one) for one in tokens),
            tokens=tokens,
            logprob=np.array([one[1] for one in done + live], np.float64),
            ended=(True,) * len(done) + (False,) * len(live),
        )

    def _state(self, tokens: Sequence[int]) -> int:
        """The row of the table for what comes after ``tokens``."""
        size, border = self._codec.vocabulary_size, self._codec.end_tokens[0]
        state = 0
        for token in ([border] * self.order + list(tokens[-self.order :]))[-self.order :] if self.order else []:
            state = state * size + int(token)
        return state

    def _rows(self, request: Request[Any]) -> list[list[int]]:
        """Token rows of a request, checked against the context."""
        if isinstance(request, NextToken):
            rows = [request.tree.sequence(int(node)) for node in request.nodes]
            more = [0] * len(rows)
        else:
            rows = [self._codec.encode(prompt) for prompt in cast(Complete | LogProb, request).prompts]
            more = [request.max_tokens] * len(rows) if isinstance(request, Complete) else [0] * len(rows)
        if isinstance(request, LogProb):
            tails = zip(request.prompts, request.continuations, strict=True)
            more = [max((len(self._codec.encode_continuation(p, c)) for c in many), default=0) for p, many in tails]
        for row, extra in zip(rows, more, strict=True):
            if len(row) + extra > self._context_length:
                raise ContextError(
                    f"a prompt has {len(row)} tokens and {extra} more, the context holds {self._context_length}",
                    where="tabular model",
                    remedy="shorten it",
                )
        return rows

    def _next_token(self, request: NextToken, rows: list[list[int]]) -> NextTokens:
        states = np.array([self._state(row) for row in rows], np.int64)
        token, logprob = select_tokens(self._logprob[states], request)
        return NextTokens(token=token, logprob=logprob, cost=Cost(len(rows), sum(map(len, rows)), 0))

    def _complete(self, request: Complete, rows: list[list[int]]) -> Completions:
        tempered = temper(
            self._logprob,
            temperature=request.temperature,
            top_p=request.top_p,
            min_p=request.min_p,
            typical=request.typical,
        )
        uniform = uniforms(request.key, "complete", request.slots, request.max_tokens)
        written = [
            self._write(row, tempered, numbers, request.stop) for row, numbers in zip(rows, uniform, strict=True)
        ]
        num_tokens: IntArray = np.array([one[2] for one in written], np.int64)
        return Completions(
            text=tuple(one[0] for one in written),
            logprob=np.array([one[1] for one in written], np.float64),
            num_tokens=num_tokens,
            finish=tuple(one[3] for one in written),
            cost=Cost(len(rows), sum(map(len, rows)), int(num_tokens.sum())),
        )

    def _write(
        self, prompt: list[int], tempered: FloatArray, uniform: FloatArray, stop: tuple[str, ...]
    ) -> tuple[str, float, int, str]:
        """Text, log-probability, number of tokens and finish of one completion."""
        tokens: list[int] = []
        logprob, text = 0.0, ""
        for number in uniform:
            state = self._state([*prompt, *tokens])
            token = int(draw(tempered[state : state + 1], np.array([number]))[0])
            tokens.append(token)
            logprob += float(self._logprob[state, token])
            if token in self._codec.end_tokens:
                return text, logprob, len(tokens), "end"
            text = self._codec.decode(tokens)
            place = first_stop(text, stop)
            if place is not None:
                return text[:place], logprob, len(tokens), "stop"
        return text, logprob, len(tokens), "length"

    def _score(self, request: LogProb, rows: list[list[int]]) -> LogProbs:
        values, counts, fed = [], [], 0
        for prompt, row, many in zip(request.prompts, rows, request.continuations, strict=True):
            tails = [self._codec.encode_continuation(prompt, one) for one in many]
            values.append(np.array([self._chain(row, tail) for tail in tails], np.float64))
            counts.append(np.array([len(tail) for tail in tails], np.int64))
            fed += len(row) + len({tuple(tail[:end]) for tail in tails for end in range(1, len(tail))})
        return LogProbs(logprob=tuple(values), num_tokens=tuple(counts), cost=Cost(len(rows), fed, 0))

    def _chain(self, row: list[int], tail: list[int]) -> float:
        return float(sum(self._logprob[self._state([*row, *tail[:place]]), token] for place, token in enumerate(tail)))
