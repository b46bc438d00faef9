"""A causal language model on this machine as a backend: NextToken, Complete and LogProb.

Rows of one request are answered in chunks of ``batch_size`` in order of length, and put back in the order of the request.
Chunks never mix requests, so a request's bytes do not depend on what else was asked or on what a restart asks again.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch

from winnow.models.local.codec import TransformersCodec
from winnow.models.local.complete import Row, Scribe, complete_rows
from winnow.models.local.network import Network
from winnow.models.local.reduction import columns, reduce
from winnow.models.local.score import score_cached, score_plain
from winnow.models.local.session import CachedSession, PlainSession, SlowPathWarning, distinct
from winnow.ports.requests import (
    Complete,
    Completions,
    Cost,
    LogProb,
    LogProbs,
    NextToken,
    NextTokens,
    Request,
    require,
)
from winnow.values.errors import ContextError
from winnow.values.random import uniforms


class LocalModel:
    """Answers requests with one transformers model.

    Log-probabilities agree with the plain forward pass of single rows within 1e-4 (float32); the same request on the same
    machine with the same batch size gives the same bytes. ``Cost.calls`` counts rows, ``prompt_tokens`` what was fed
    to the model before the first drawn token (equal prompts of a chunk once), ``new_tokens`` what was drawn.

    Parameters
    ----------
    network, codec : the model's two halves.
    identity : what answers depend on.
    context_length : longest row, in tokens.
    batch_size : rows that are answered together.
    reach : rows up to this many tokens take the cached path, longer ones the plain one.
    source : the arguments with which ``winnow.load`` loads it again.
    files : sha256 of each of its files.
    """

    def __init__(
        self,
        network: Network,
        codec: TransformersCodec,
        *,
        identity: str,
        context_length: int,
        batch_size: int,
        reach: int,
        source: Mapping[str, Any] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        self.source: Mapping[str, Any] = source or {}
        self.files: Mapping[str, str] = files or {}
        self._network, self._codec, self._identity = network, codec, identity
        self._context_length, self._batch_size, self._reach = context_length, batch_size, reach
        self._told = False

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        return frozenset({NextToken, Complete, LogProb})

    @property
    def codec(self) -> TransformersCodec:
        return self._codec

    @property
    def context_length(self) -> int:
        return self._context_length

    @property
    def chat(self) -> bool:
        return self._codec.chat

    @property
    def rows_together(self) -> int:
        """Two batches: rows of a request that are best asked, and kept, together. What is kept waits for the disk once."""
        return 2 * self._batch_size

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        """Replies one request after another.

        Raises
        ------
        CapabilityError, InputError, ContextError
            Before any work: a request of another type, a text without tokens, a row longer than the context.
        ModelError
            When the model's probabilities are not numbers.
        """
        require(self, {type(request) for request in requests})
        prepared = [self._prepare(request) for request in requests]
        for index, (request, ready) in enumerate(zip(requests, prepared, strict=True)):
            with torch.inference_mode():
                reply = self._reply(request, ready)
            yield index, reply

    def _prepare(self, request: Request[Any]) -> Any:
        """Token rows of a request, checked against the context."""
        if isinstance(request, NextToken):
            rows = [request.tree.sequence(int(node)) for node in request.nodes]
            self._fits([(len(row), 0) for row in rows])
            return rows
        if isinstance(request, Complete):
            rows = self._codec.encode_all(request.prompts)
            self._fits([(len(row), request.max_tokens) for row in rows])
            return rows
        logprob = cast(LogProb, request)
        heads, tails = self._codec.encode_continuations(logprob.prompts, logprob.continuations)
        self._fits([(len(h), max((len(t or []) for t in many), default=0)) for h, many in zip(heads, tails)])
        return heads, tails

    def _fits(self, lengths: Sequence[tuple[int, int]]) -> None:
        for row, (prompt, more) in enumerate(lengths):
            if prompt + more > self._context_length:
                asked = f"{prompt} tokens and {more} more" if more else f"{prompt} tokens"
                raise ContextError(
                    f"prompt {row + 1} of {len(lengths)} has {asked}, the context holds {self._context_length}",
                    where=self._network.name,
                    remedy="shorten the prompt, use fewer examples, or lower max_tokens",
                )

    def _reply(self, request: Request[Any], ready: Any) -> Any:
        if isinstance(request, NextToken):
            return self._next_token(request, ready)
        if isinstance(request, Complete):
            return self._complete(request, ready)
        return self._logprob(*ready)

    def _chunks(self, rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Indices of ``rows`` in chunks; equal rows lie together, lengths in a chunk differ little."""
        order = sorted(range(len(rows)), key=lambda index: (len(rows[index]), rows[index], index))
        for start in range(0, len(order), self._batch_size):
            yield order[start : start + self._batch_size]

    def _within_reach(self, length: int) -> bool:
        """Whether the cached path is right for rows of this length; says once when it first is not."""
        if length <= self._reach:
            return True
        if self._reach and not self._told:
            self._told = True
            warnings.warn(
                f"{self._network.name}: rows longer than its attention window of {self._reach} tokens are answered "
                "without a cache, which is slower",
                SlowPathWarning,
                stacklevel=2,
            )
        return False

    def _complete(self, request: Complete, prompts: list[list[int]]) -> Completions:
        rows = [Row(prompt=prompt) for prompt in prompts]
        uniform = uniforms(request.key, "complete", request.slots, request.max_tokens)
        scribe, fed = Scribe(self._codec, request.stop, request.max_tokens), 0
        for chunk in self._chunks(prompts):
            heads = [prompts[i] for i in chunk]
            cached = self._within_reach(max(map(len, heads)) + request.max_tokens)
            session = (CachedSession if cached else PlainSession)(self._network, heads, request.max_tokens)
            complete_rows(session, [rows[i] for i in chunk], scribe, request, uniform[chunk])
            fed += session.fed
        num_tokens = np.array([len(row.tokens) for row in rows], np.int64)
        return Completions(
            text=tuple(row.text for row in rows),
            logprob=np.array([row.logprob for row in rows], np.float64),
            num_tokens=num_tokens,
            finish=tuple(row.finish for row in rows),
            cost=Cost(len(rows), fed, int(num_tokens.sum())),
        )

    def _logprob(self, prompts: list[list[int]], continuations: list[list[list[int] | None]]) -> LogProbs:
        result: list[Any] = [None] * len(prompts)
        fed = 0
        for chunk in self._chunks(prompts):
            heads, tails = [prompts[i] for i in chunk], [continuations[i] for i in chunk]
            longest = max(map(len, heads)) + max((len(t or []) for many in tails for t in many), default=0)
            score = score_cached if self._within_reach(longest) else score_plain
            values, cost = score(self._network, heads, tails)
            fed += cost
            for index, value in zip(chunk, values, strict=True):
                result[index] = value
        num_tokens = tuple(np.array([len(t or []) for t in many], np.int64) for many in continuations)
        return LogProbs(logprob=tuple(result), num_tokens=num_tokens, cost=Cost(len(prompts), fed, 0))

    def _next_token(self, request: NextToken, sequences: list[list[int]]) -> NextTokens:
        rows, which = distinct(sequences)
        nodes_of: dict[int, list[int]] = {}
        for node, row in enumerate(which):
            nodes_of.setdefault(row, []).append(node)
        width = columns(request, self._codec.vocabulary_size)
        token = np.empty((len(sequences), width), np.int64)
        logprob = np.empty((len(sequences), width), np.float64)
        for chunk in self._chunks(rows):
            mine = [rows[index] for index in chunk]
            full = self._network.causal(mine, [[len(row) - 1] for row in mine])
            place = [at for at, index in enumerate(chunk) for _ in nodes_of[index]]
            nodes = [node for index in chunk for node in nodes_of[index]]
            uniform = None if request.uniform is None else request.uniform[nodes]
            token[nodes], logprob[nodes] = reduce(full[place], request, uniform)
        return NextTokens(token=token, logprob=logprob, cost=Cost(len(sequences), sum(len(row) for row in rows), 0))
