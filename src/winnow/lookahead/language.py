"""A whole language model from next-token distributions: whoever says what comes next can complete, score and be searched.

The rules are those of every language model behind the port (``winnow.ports.laws``): temperature and top-p after the
distribution is made, one uniform a row and step, log-probabilities of a text by the chain rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from winnow.models.sampling import temper
from winnow.models.stopping import first_stop
from winnow.ports.asking import split_continuation
from winnow.ports.program import Program
from winnow.ports.requests import (
    Codec,
    Complete,
    Completions,
    Cost,
    LanguageModel,
    LogProb,
    LogProbs,
    NextToken,
    NextTokens,
    Prompt,
    draw,
    select_tokens,
)
from winnow.search.problem import continuation
from winnow.values.errors import ContextError
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import uniforms
from winnow.values.tree import Tree


class Distribution(Protocol):
    """What comes next at nodes of a tree: a program over the model underneath that gives ``[N, V]``, natural log."""

    def __call__(self, tree: Tree, nodes: IntArray) -> Program[FloatArray]: ...


@runtime_checkable
class _ManyContinuations(Protocol):
    def encode_continuations(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]]
    ) -> tuple[list[list[int]], list[list[list[int] | None]]]: ...


@runtime_checkable
class _OneContinuation(Protocol):
    def encode_continuation(self, prompt: Prompt, continuation: str) -> list[int]: ...


def next_token(request: NextToken, distribution: Distribution) -> Program[NextTokens]:
    """Answer NextToken; the cost is left to whoever runs this."""
    full = yield from distribution(request.tree, request.nodes)
    token, logprob = select_tokens(full, request)
    return NextTokens(token=token, logprob=logprob, cost=Cost())


def complete(request: Complete, distribution: Distribution, model: LanguageModel) -> Program[Completions]:
    """Answer Complete, all rows in lockstep."""
    codec, heads = model.codec, [model.codec.encode(prompt) for prompt in request.prompts]
    ends = frozenset(codec.end_tokens)
    check_room(heads, [request.max_tokens] * len(heads), model)
    uniform = uniforms(request.key, "complete", request.slots, request.max_tokens)
    tree = Tree(heads)
    nodes, logprob = np.arange(len(heads)), np.zeros(len(heads))
    written: list[list[int]] = [[] for _ in heads]
    finish, text = ["length"] * len(heads), [""] * len(heads)
    live = np.arange(len(heads) if request.max_tokens else 0)
    for step in range(request.max_tokens):
        if not live.size:
            break
        full = yield from distribution(tree, nodes[live])
        tempered = temper(full, temperature=request.temperature, top_p=request.top_p)
        token = draw(tempered, uniform[live, step])
        value = full[np.arange(live.size), token]
        tree, born = tree.append(nodes[live], token, value)
        nodes[live] = born
        logprob[live] += value
        for row, one in zip(live.tolist(), token.tolist(), strict=True):
            written[row].append(one)
            if one in ends:
                finish[row] = "end"
                continue
            text[row] = continuation(codec, heads[row], written[row])
            place = first_stop(text[row], request.stop)
            if place is not None:
                finish[row], text[row] = "stop", text[row][:place]
        live = np.array([row for row in live.tolist() if finish[row] == "length"], np.int64)
    num_tokens = np.array([len(row) for row in written], np.int64)
    return Completions(text=tuple(text), logprob=logprob, num_tokens=num_tokens, finish=tuple(finish), cost=Cost())


def score(request: LogProb, distribution: Distribution, model: LanguageModel) -> Program[LogProbs]:
    """Answer LogProb; continuations of a prompt share its beginning and one another's."""
    heads, tails = _tokens(model.codec, model, request)
    check_room(heads, [max((len(t or []) for t in many), default=0) for many in tails], model)
    tree = Tree(heads)
    known: dict[tuple[int, int], int] = {}
    read: list[tuple[int, int, int, int]] = []  # row, column, node, token that follows
    for row, many in enumerate(tails):
        for column, tail in enumerate(many):
            node = row
            for place, token in enumerate(tail or []):
                read.append((row, column, node, token))
                if place < len(tail or []) - 1:
                    if (node, token) not in known:
                        tree, born = tree.append([node], [token], [0.0])
                        known[node, token] = int(born[0])
                    node = known[node, token]
    values = [np.array([0.0 if tail is not None else -np.inf for tail in many]) for many in tails]
    if read:
        nodes, back = np.unique(np.array([node for _, _, node, _ in read], np.int64), return_inverse=True)
        full = yield from distribution(tree, nodes)
        for (row, column, _, token), at in zip(read, back.tolist(), strict=True):
            values[row][column] += full[at, token]
    counts = tuple(np.array([len(tail or []) for tail in many], np.int64) for many in tails)
    return LogProbs(logprob=tuple(values), num_tokens=counts, cost=Cost())


def check_room(heads: Sequence[Sequence[int]], more: Sequence[int], model: LanguageModel) -> None:
    """Make sure that rows and what is written after them fit into the context.

    Raises
    ------
    ContextError
        Naming both lengths.
    """
    for head, extra in zip(heads, more, strict=True):
        if len(head) + extra > model.context_length:
            raise ContextError(
                f"a prompt has {len(head)} tokens and {extra} more, there is room for {model.context_length}",
                where="prompt",
                remedy="shorten it",
            )


def _tokens(
    codec: Codec, model: LanguageModel, request: LogProb
) -> tuple[list[list[int]], list[list[list[int] | None]]]:
    """Tokens of prompts and of their continuations, as the model underneath would have them."""
    if isinstance(codec, _ManyContinuations):
        return codec.encode_continuations(request.prompts, request.continuations)
    heads = [codec.encode(prompt) for prompt in request.prompts]
    tails: list[list[list[int] | None]] = []
    for prompt, many in zip(request.prompts, request.continuations, strict=True):
        if isinstance(codec, _OneContinuation):
            tails.append([codec.encode_continuation(prompt, words) for words in many])
        else:
            tails.append([split_continuation(model, prompt, words) for words in many])
    return heads, tails
