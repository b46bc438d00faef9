"""A language model made of the theory itself: it errs as its context does, and its evaluator accepts by fixed rates.

Answers are "right", "wrong" or "no answer" by a response function of the shares in the context; scores are drawn once and
for all from (query, answer): sensitivity and false-positive rate are exactly what they are said to be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from winnow.ports.requests import Complete, Completions, Cost, Evaluate, Request, Scores
from winnow.values.random import uniforms

EVASION = "no answer"


class Characters:
    """A codec of characters."""

    vocabulary_size = 0x110000
    end_tokens = ()

    def encode(self, prompt: Any) -> list[int]:
        return [ord(c) for c in (prompt if isinstance(prompt, str) else "".join(m.content for m in prompt))]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(map(chr, tokens))


class Organism:
    """Answers Complete and Evaluate; ``response`` maps shares of kinds in the context to those of answers."""

    chat = False
    context_length = 100_000
    codec = Characters()
    name = "organism"

    def __init__(
        self,
        *,
        start: tuple[float, float, float] = (0.5, 0.5, 0.0),
        response: Callable[[np.ndarray], np.ndarray] = lambda shares: shares,
        scores: tuple[float, float, float] = (0.7, 0.3, 0.5),
    ) -> None:
        self.start, self.response, self.scores = np.array(start), response, scores
        self.prompts: list[str] = []
        self.evaluated: list[str] = []

    identity = "organism"
    answers: frozenset[type[Request[Any]]] = frozenset({Complete, Evaluate})

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        for index, request in enumerate(requests):
            yield index, self._complete(request) if isinstance(request, Complete) else self._evaluate(request)

    def _complete(self, request: Complete) -> Completions:
        text = []
        draws = uniforms(request.key, "organism", request.slots)[:, 0]
        for prompt, draw in zip(request.prompts, draws, strict=True):
            assert isinstance(prompt, str)
            self.prompts.append(prompt)
            seen = re.findall(r"A: (.+)\n", prompt)
            kinds = [0 if one == "right" else 2 if one == EVASION else 1 for one in seen]
            shares = np.bincount(kinds, minlength=3) / len(kinds) if kinds else None
            chance = self.start if shares is None else self.response(shares)
            kind = int(np.searchsorted(np.cumsum(chance), draw, side="right"))
            text.append((" right", " wrong", " " + EVASION)[min(kind, 2)])
        n = len(text)
        return Completions(
            text=tuple(text),
            logprob=np.zeros(n),
            num_tokens=np.ones(n, np.int64),
            finish=("stop",) * n,
            cost=Cost(n, sum(map(len, map(str, request.prompts))), n),
        )

    def _evaluate(self, request: Evaluate) -> Scores:
        self.evaluated += [item.answer for item in request.items]
        score = [self.scores[0 if i.answer == "right" else 2 if i.answer == EVASION else 1] for i in request.items]
        return Scores(
            score=np.array(score), parts=tuple({"said": s} for s in score), cost=Cost(len(score), len(score), 0)
        )
