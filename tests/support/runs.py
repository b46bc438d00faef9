"""Small runs to report on: as they should be, without gold, and with answers and queries that try to be markup."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import winnow as wn
from tests.support.organism import EVASION, Organism
from winnow.ports.requests import Complete, Completions
from winnow.values.random import uniforms

MARKUP = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(3)>",
    "a\u2028b\u2029c",
    "]]>&lt;&amp;\"'`${alert(4)}{{ 7 * 7 }}",
    "__proto__",
)


class Hostile(Organism):
    """An organism whose wrong answers are markup, each of MARKUP in its turn."""

    name = identity = "organism</title><script>alert(5)</script>"

    def _complete(self, request: Complete) -> Completions:
        reply = super()._complete(request)
        picks = (uniforms(request.key, "markup", request.slots)[:, 0] * len(MARKUP)).astype(int).tolist()
        texts = [f" {MARKUP[pick]}" if text == " wrong" else text for text, pick in zip(reply.text, picks, strict=True)]
        return replace(reply, text=tuple(texts))


def small_run(model: Any = None, **changes: Any) -> wn.Run:
    """Three rounds of sixty queries with all predictions, but for ``changes`` to the task."""
    settings = {
        "queries": [f"q{i}?" for i in range(60)],
        "gold": ["right"] * 60,
        "rounds": 3,
        "reuse": True,
        "examples": 4,
        "max_tokens": 2,
        "abstentions": (EVASION,),
        "name": "small",
    }
    model = model or Organism(start=(0.5, 0.4, 0.1), response=lambda shares: 0.9 * shares + np.array([0.1, 0.0, 0.0]))
    known = {**settings, **changes}
    return wn.adapt(model, replace(wn.Task(**known), evaluator=model), seed=0, response=known["gold"] is not None)


def hostile_run() -> wn.Run:
    """Markup wherever text can come from: queries, answers, the task's name, the model's."""
    queries = [f"{MARKUP[i % len(MARKUP)]} q{i}?" for i in range(60)]
    return small_run(Hostile(start=(0.4, 0.5, 0.1)), queries=queries, name=f"task {MARKUP[1]}", header=f"{MARKUP[2]}\n")
