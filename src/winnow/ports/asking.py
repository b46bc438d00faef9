"""Asking a backend directly, outside of any program: what the laws are written with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from winnow.ports.requests import Backend, LanguageModel, NextToken, Prompt, Request
from winnow.values.tree import Tree


def ask_all(backend: Backend, requests: Sequence[Request[Any]]) -> list[Any]:
    """Replies in the order of the requests."""
    received = dict(backend.answer(requests))
    return [received[index] for index in range(len(requests))]


def encode_prompts(model: LanguageModel, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Tokens of prompts; an empty one becomes an end token."""
    return [model.codec.encode(prompt) or [model.codec.end_tokens[0]] for prompt in prompts]


def next_logprobs(model: LanguageModel, rows: Sequence[Sequence[int]]) -> Any:
    """``[N, V]`` log-probabilities after token rows."""
    tree = Tree(rows)
    return ask_all(model, [NextToken(tree=tree, nodes=np.arange(len(tree)))])[0].logprob


def split_continuation(model: LanguageModel, prompt: Prompt, words: str) -> list[int] | None:
    """Tokens of a continuation where the prompt's tokens begin those of both together, else None."""
    if not isinstance(prompt, str) or not words:
        return None
    head, both = model.codec.encode(prompt), model.codec.encode(prompt + words)
    return both[len(head) :] if both[: len(head)] == head else None


def chain_logprob(model: LanguageModel, head: Sequence[int], tail: Sequence[int]) -> float:
    """Log-probability of ``tail`` after ``head``, token by token."""
    rows = [[*head, *tail[:place]] for place in range(len(tail))]
    return float(next_logprobs(model, rows)[np.arange(len(tail)), list(tail)].sum())


def drawn_right(full: Any, token: Any, uniform: Any, tolerance: float) -> bool:
    """Whether each number falls into its token's interval of the cumulative distribution."""
    above = np.cumsum(np.exp(full), axis=1)
    rows = np.arange(token.size)
    upper = above[rows, token]
    lower = upper - np.exp(full[rows, token])
    return bool(np.all((uniform >= lower - tolerance) & (uniform <= upper + tolerance)))
