"""Likelihood: how well the model itself could have written the answer. It knows style, not truth."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from winnow.evaluators.spec import PAIR, Setting, check_names, need_model
from winnow.evaluators.template import Template
from winnow.ports.requests import (
    Evaluate,
    Item,
    LanguageModel,
    LogProb,
    LogProbs,
    Message,
    Prompt,
    Request,
    Scores,
    require,
)


class Likelihood:
    """Score = exp(mean log p of the answer's tokens given the query): the geometric mean of its token probabilities.

    A base model reads ``header`` and the pair up to the answer; a chat model reads the query as a user message. Parts:
    ``logprob`` (summed, natural log) and ``num_tokens``. An empty answer has no tokens and scores 0.

    Raises
    ------
    CapabilityError
        When the model gives no log-probabilities.
    """

    def __init__(self, model: LanguageModel, *, pair: str = PAIR, header: str = "") -> None:
        require(model, {LogProb})
        self.model, self.template, self.header = model, Template(pair), header

    @property
    def identity(self) -> str:
        settings = hashlib.sha256(repr((self.template.text, self.header)).encode()).hexdigest()[:16]
        return f"likelihood {settings} of {self.model.identity}"

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        return frozenset({Evaluate})

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        require(self, {type(request) for request in requests})
        asked = [self._ask(request) for request in requests if isinstance(request, Evaluate)]
        for index, reply in self.model.answer(asked):
            yield index, _scores(reply)

    def _ask(self, request: Evaluate) -> LogProb:
        rows = [self._row(item) for item in request.items]
        return LogProb(prompts=tuple(prompt for prompt, _ in rows), continuations=tuple((text,) for _, text in rows))

    def _row(self, item: Item) -> tuple[Prompt, str]:
        if self.model.chat:
            return (Message("user", self.header + item.query),), item.answer.strip()
        lead = self.header + self.template.lead(item.query)
        # the space before an answer is part of its first token, never of the prompt's end
        return lead, self.template.space + item.answer.strip() if item.answer.strip() else ""


def _scores(reply: LogProbs) -> Scores:
    logprob = np.array([float(row[0]) for row in reply.logprob], np.float64)
    tokens = np.array([int(row[0]) for row in reply.num_tokens], np.int64)
    score = np.where(tokens > 0, np.exp(np.minimum(logprob / np.maximum(tokens, 1), 0.0)), 0.0)
    parts = tuple(
        {"logprob": float(lp), "num_tokens": float(num)} if np.isfinite(lp) else {"num_tokens": float(num)}
        for lp, num in zip(logprob, tokens, strict=True)
    )
    return Scores(score=score, parts=parts, cost=reply.cost)


def from_spec(setting: Setting, flags: tuple[str, ...], options: Mapping[str, Any]) -> Likelihood:
    """``likelihood [pair=..] [header=..]``."""
    check_names("likelihood", flags, [])
    check_names("likelihood", options, ["pair", "header"])
    return Likelihood(
        need_model(setting, "likelihood"),
        pair=str(options.get("pair", setting.pair)),
        header=str(options.get("header", setting.header)),
    )
