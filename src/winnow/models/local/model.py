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

from winnow.models.local.batches import Batch, batches, num_distinct
from winnow.models.local.cache import Spare
from winnow.models.local.codec import TransformersCodec
from winnow.models.local.complete import Row, Scribe, complete_rows
from winnow.models.local.memory import Memory, default_limit
from winnow.models.local.network import Counters, Network
from winnow.models.local.prefixes import Prefixes
from winnow.models.local.reduction import columns, is_whole, reduce
from winnow.models.local.score import num_inner, score_cached, score_plain
from winnow.models.local.session import CachedSession, PlainSession, Session, SlowPathWarning
from winnow.models.local.tree_cache import TreeCache, Trees
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
from winnow.values.logspace import IntArray
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
    memory : bytes that keys and values may take; by default a quarter of the device's memory.
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
        memory: int | None = None,
    ) -> None:
        self.source: Mapping[str, Any] = source or {}
        self.files: Mapping[str, str] = files or {}
        self._network, self._codec, self._identity = network, codec, identity
        self._context_length, self._batch_size, self._reach = context_length, batch_size, reach
        self._told = False
        self._memory = Memory(memory or default_limit(network.device), network.name)
        self._remember_nothing()

    def _remember_nothing(self) -> None:
        """Begin without keys and values, for the weights as they are now."""
        self._version = self._network.version
        self._memory = Memory(self._memory.limit, self._network.name)
        self._network.spare = Spare(self._memory)
        self._prefixes, self._trees = Prefixes(self._network, self._memory), Trees(self._memory)

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
    def counters(self) -> Counters:
        """What was really fed, beside what replies say they cost."""
        self._network.counters.peak_bytes = self._memory.peak
        return self._network.counters

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
        if self._version != self._network.version:
            self._remember_nothing()
        prepared = [self._prepare(request) for request in requests]
        for index, (request, ready) in enumerate(zip(requests, prepared, strict=True)):
            with torch.inference_mode():
                reply = self._reply(request, ready)
            yield index, reply

    def _prepare(self, request: Request[Any]) -> Any:
        """Token rows of a request, checked against the context."""
        if isinstance(request, NextToken):
            cache = self._trees.find(request.tree)
            texts = cache.texts(request.tree)[request.nodes]
            self._fits([(length, 0) for length in cache.lengths(texts).tolist()])
            return cache, texts
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
            return self._next_token(request, *ready)
        if isinstance(request, Complete):
            return self._complete(request, ready)
        return self._logprob(*ready)

    def _batches(self, rows: Sequence[Sequence[int]], more: Sequence[int], steps: int = 0) -> Iterator[Batch]:
        """Rows that are answered together, ``more`` tokens behind each: batches, halved until memory holds them."""
        todo = batches(rows, self._batch_size, max_tokens=steps)[::-1]
        while todo:
            mine, cuts = todo.pop()
            tokens = num_distinct([rows[index] for index in mine]) + sum(more[index] for index in mine)
            need = self._network.token_bytes * tokens
            if need > self._memory.limit and len(mine) > 1:
                todo += [Batch(mine[len(mine) // 2 :], cuts), Batch(mine[: len(mine) // 2], cuts)]
                continue
            self._room(need, f"{len(rows[mine[0]]) + more[mine[0]]} tokens of one row")
            yield Batch(mine, cuts)

    def _room(self, need: int, what: str, keep: Any = None) -> None:
        """Let others give way to so many bytes.

        Raises
        ------
        MemoryBoundError
            When the bound is too small even so; names what would fit.
        """
        if need > self._memory.limit:
            fitting = self._memory.limit // max(1, self._network.token_bytes)
            raise self._memory.refuse(need, what, f"at most {fitting} tokens fit")
        self._memory.make_room(need, keep=keep)

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
        for chunk, cuts in self._batches(prompts, [request.max_tokens] * len(prompts), request.max_tokens):
            heads = [prompts[i] for i in chunk]
            session: Session
            if self._within_reach(max(map(len, heads)) + request.max_tokens):
                session = CachedSession(self._network, heads, request.max_tokens, self._prefixes.on(cuts))
            else:
                session = PlainSession(self._network, heads, request.max_tokens)
            complete_rows(session, [rows[i] for i in chunk], scribe, request, uniform[chunk])
            session.close()
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
        for chunk, cuts in self._batches(prompts, [num_inner(many) for many in continuations]):
            heads, tails = [prompts[i] for i in chunk], [continuations[i] for i in chunk]
            longest = max(map(len, heads)) + max((len(t or []) for many in tails for t in many), default=0)
            if self._within_reach(longest):
                values, cost = score_cached(self._network, heads, tails, self._prefixes.on(cuts))
            else:
                values, cost = score_plain(self._network, heads, tails)
            fed += cost
            for index, value in zip(chunk, values, strict=True):
                result[index] = value
        num_tokens = tuple(np.array([len(t or []) for t in many], np.int64) for many in continuations)
        return LogProbs(logprob=tuple(result), num_tokens=num_tokens, cost=Cost(len(prompts), fed, 0))

    def _next_token(self, request: NextToken, cache: TreeCache, texts: IntArray) -> NextTokens:
        asked, which = np.unique(texts, return_inverse=True)
        lengths = cache.lengths(asked)
        shape = texts.size, columns(request, self._codec.vocabulary_size)
        whole, uniform = is_whole(request), request.uniform
        token = np.broadcast_to(np.arange(shape[1]), shape) if whole else np.empty(shape, np.int64)
        logprob = np.empty(shape, np.float64)
        for start, full in self._read_tree(cache, asked, int(lengths.max(initial=0))):
            nodes = np.flatnonzero((which >= start) & (which < start + full.shape[0]))
            place = which[nodes] - start
            same = place.size == full.shape[0] and bool((place == np.arange(place.size)).all())
            if whole:
                logprob[nodes] = (full if same else full[self._network.tensor(place)]).cpu().numpy()
            elif uniform is None:
                found = reduce(full, request, None)
                token[nodes], logprob[nodes] = found if same else (found[0][place], found[1][place])
                del found
            else:
                rows = full if same else full[self._network.tensor(place)]
                token[nodes], logprob[nodes] = reduce(rows, request, uniform[nodes])
                del rows
            del full  # before the next are laid out
        roots = set(cache.roots)
        cost = sum(int(n) if text in roots else 1 for n, text in zip(lengths, asked.tolist(), strict=True))
        return NextTokens(token=token, logprob=logprob, cost=Cost(texts.size, cost, 0))

    def _read_tree(self, cache: TreeCache, asked: IntArray, longest: int) -> Iterator[tuple[int, torch.Tensor]]:
        """Log-probabilities after texts, some rows at a time: ``(first row, [m, V])``."""
        network, begin = self._network, list(cache.prompts[0][: cache.shared])
        if self._within_reach(longest):
            self._trees.begin(cache)
            missing = cache.missing(asked)
            tokens = cache.size + len(missing)
            self._room(tokens * network.token_bytes, f"the {tokens} tokens of a search's tree", keep=cache)
            try:
                cache.feed(network, lambda: self._prefixes.stem(begin), missing)
            finally:
                self._trees.hold(cache)
        for start in range(0, asked.size, size := network.read_together if self._within_reach(longest) else 64):
            part = asked[start : start + size]
            if self._within_reach(longest):
                full = network.readout(cache.hidden(part))
                network.check(full, lambda at, part=part: [*begin, *cache.sequence(int(part[at]))])  # type: ignore[misc]
            else:
                rows = [[*begin, *cache.sequence(text)] for text in part.tolist()]
                full = network.causal(rows, [[len(row) - 1] for row in rows])
            yield start, full
            del full
