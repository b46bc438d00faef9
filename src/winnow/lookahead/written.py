"""Texts a model writes, naive and amplified, at equal budget: how much they repeat themselves, how much they differ.

An amplified model pays many forward tokens for each it writes; for the same tokens the naive model writes many texts and
may keep the one it finds most probable. All three are measured: naive texts, the best of as many as the budget allows, and
amplified texts.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from winnow.lookahead.amplify import Amplified
from winnow.lookahead.intervals import Estimate, estimate
from winnow.ports.program import Program, ask, run
from winnow.ports.requests import Codec, Complete, Completions, LanguageModel, LogProb
from winnow.values.logspace import FloatArray
from winnow.values.random import Key

MOST = 64  # naive texts of which the best is kept, at most


class Written(NamedTuple):
    """What texts of one kind are like; means over texts with intervals."""

    kind: str
    texts: int
    tokens: float  # forward tokens a text
    plausibility: Estimate  # nats a token under the naive model
    repetition: Estimate  # share of a text's 4-grams of tokens that stood in it before
    compression: Estimate  # bytes after compression over bytes before; low is repetitive
    distinct: float  # different 2-grams over all 2-grams of all texts
    variety: Estimate  # 1 - share of a text's 3-grams that another text of its kind has

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        plain = {k: v for k, v in self._asdict().items() if not isinstance(v, Estimate)}
        told = {k: v for k, v in self._asdict().items() if isinstance(v, Estimate)}
        return plain | {k: v._asdict() if v.positions else None for k, v in told.items()}  # texts may be too short


def write(
    model: LanguageModel, ahead: Amplified, prompts: Sequence[str], *, max_tokens: int, seed: int = 0
) -> list[Written]:
    """Naive texts, the best of many at the amplified model's cost, and amplified texts: one a prompt each."""
    key, num = Key(seed).child("written"), len(prompts)
    amplified = run(texts(prompts, key.child("amplified"), max_tokens), ahead)
    new = max(1, int(amplified.num_tokens.sum()))
    times = int(np.clip(round(amplified.cost.prompt_tokens / new), 1, MOST))
    many = run(texts([prompt for prompt in prompts for _ in range(times)], key.child("naive"), max_tokens), model)
    mean = (many.logprob / np.maximum(1, many.num_tokens)).reshape(num, times)
    best = mean.argmax(axis=1) + times * np.arange(num)
    naive_tokens, rows = float(many.num_tokens.mean()), []
    kinds: list[tuple[str, Sequence[str], float]] = [
        ("naive", [many.text[times * row] for row in range(num)], naive_tokens),
        (f"naive, most probable of {times}", [many.text[row] for row in best], times * naive_tokens),
        ("amplified", amplified.text, amplified.cost.prompt_tokens / num),
    ]
    for kind, mine, tokens in kinds:
        rows.append(_measure(kind, mine, prompts, tokens, model, key.child(kind)))
    return rows


def texts(prompts: Sequence[str], key: Key, max_tokens: int) -> Program[Completions]:
    """One completion a prompt, at temperature 1."""
    request = Complete(prompts=tuple(prompts), slots=np.arange(len(prompts)), key=key, max_tokens=max_tokens)
    return (yield from ask(request))


def _measure(
    kind: str, mine: Sequence[str], prompts: Sequence[str], tokens: float, model: LanguageModel, key: Key
) -> Written:
    kept = [(prompt, text) for prompt, text in zip(prompts, mine, strict=True) if text.strip()]
    rows = [_tokens(model.codec, text) for _, text in kept]
    scored = run(ask(LogProb(prompts=tuple(p for p, _ in kept), continuations=tuple((t,) for _, t in kept))), model)
    count = np.array([max(1, int(many[0])) for many in scored.num_tokens])
    plausibility = np.array([float(value[0]) for value in scored.logprob]) / count
    fours, threes = [_grams(row, 4) for row in rows], [set(_grams(row, 3)) for row in rows]
    times: dict[tuple[int, ...], int] = {}
    for grams in threes:
        for gram in grams:
            times[gram] = times.get(gram, 0) + 1
    twos = [gram for row in rows for gram in _grams(row, 2)]
    raw = [text.encode() for _, text in kept]

    def told(values: Sequence[float] | FloatArray, what: str) -> Estimate:
        numbers = np.asarray(values, np.float64)
        sound = np.isfinite(numbers)
        return estimate(numbers[sound], np.flatnonzero(sound), key.child(what))

    return Written(
        kind=kind,
        texts=len(kept),
        tokens=tokens,
        plausibility=told(plausibility, "plausibility"),
        repetition=told([1 - len(set(grams)) / len(grams) if grams else np.nan for grams in fours], "repetition"),
        compression=told([len(zlib.compress(one, 9)) / len(one) for one in raw], "compression"),
        distinct=len(set(twos)) / max(1, len(twos)),
        variety=told(
            [1 - sum(times[gram] > 1 for gram in grams) / len(grams) if grams else np.nan for grams in threes],
            "variety",
        ),
    )


def _tokens(codec: Codec, text: str) -> list[int]:
    return codec.encode(text)


def _grams(row: Sequence[int], size: int) -> list[tuple[int, ...]]:
    if size == 2:
        return list(pairwise(row))
    return [tuple(row[start : start + size]) for start in range(len(row) - size + 1)]
