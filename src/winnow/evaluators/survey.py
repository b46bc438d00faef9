"""The survey: the model is asked about an answer, and the probabilities of a scale's words are read off.

Nothing is sampled: reading the mass averages away the noise that drawing a word would have. The survey does not know
whether the model can evaluate; it says how much of its mass fell on none of the words, and lets the caller judge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from winnow.evaluators.scale import OnScale, Variants, balance, check_words, expectation, on_scale, variants
from winnow.evaluators.spec import PAIR, Setting, check_names, need_model
from winnow.evaluators.template import Cut, Guard, Template
from winnow.ports.requests import Evaluate, LanguageModel, LogProb, LogProbs, Message, Prompt, Request, Scores, require
from winnow.values.errors import InputError
from winnow.values.logspace import FloatArray
from winnow.values.records import to_json

QUESTION = "Is that right?"
WORDS = ("not at all", "a little", "a moderate amount", "a lot", "a great deal")
DIGITS = ("1", "2", "3", "4", "5")
DIGITS_QUESTION = "How right is that, from 1 (not at all) to 5 (completely)?"
CONTENT_FREE = "N/A"


class _Plan(NamedTuple):
    """One Evaluate request made ready: rows of prompts, item after item (the content-free one last), order after order."""

    cuts: tuple[Cut, ...]
    request: LogProb


class Survey:
    """A model as an evaluator, by the survey trick.

    A base model reads ``header + pair + question`` and continues with a word; a chat model gets the pair, the question and
    the words in one message and replies with a word. A word's probability is summed over its writings (scale.py).

    The score is upper mass / (upper + lower), the middle word left out (``reading="balance"``): for a rater who leans one
    way with growing certainty it is the probability that they lean up, it does not depend on how often the model hedges
    with the middle word, and it reaches 0 and 1 where the mean level (``reading="expectation"``) stays between. On a scale
    of two words both are the same.

    Parameters
    ----------
    model : answers LogProb.
    question : stands after the pair.
    words : the scale, lowest first; an even number is split in half, of an odd number the middle word is left out.
    pair : template with {query} and {answer}; a line end is added when it ends without white space.
    header : text before the pair.
    permute : average the word probabilities over the rotations of the listed scale, so that each word stands at each
        place once; as many prompts an item as there are words.
    calibrate : divide each word's probability by its probability after a content-free pair ("N/A") before the score is
        read (Zhao et al. 2021); one more prompt a request. The reported probabilities stay as they were.
    list_scale : name the words in the prompt; by default for chat models only.
    reading : how the score is read.

    Parts, for each item: the probability of every word under its own name, ``off_scale`` (1 - their sum, never
    renormalised away), ``entropy`` of the shares on the scale in nats, ``cut``, which is 1 when the answer held the
    question, opened another pair or wrote out a special token - it is cut and its score is 0. Where nothing at all fell on
    the scale the score is 0.

    Raises
    ------
    InputError
        For a scale of fewer than two words, a bad template, an empty question, or ``permute`` with no scale listed.
    CapabilityError
        When the model gives no log-probabilities, or has no tokens for a word.

    References
    ----------
    Zhao, Wallace, Feng, Klein and Singh (2021), Calibrate before use.
    """

    def __init__(
        self,
        model: LanguageModel,
        question: str = QUESTION,
        words: Sequence[str] = WORDS,
        *,
        pair: str = PAIR,
        header: str = "",
        permute: bool = False,
        calibrate: bool = False,
        list_scale: bool | None = None,
        reading: Literal["balance", "expectation"] = "balance",
    ) -> None:
        require(model, {LogProb})
        if not question.strip():
            raise InputError("the question is empty", where="survey")
        self.model, self.question, self.words = model, question.strip(), check_words(words)
        self.template, self.header = Template(pair), header
        self.list_scale = model.chat if list_scale is None else list_scale
        if permute and not self.list_scale:
            raise InputError(
                "permute averages over orders of the listed scale, and none is listed",
                where="survey",
                remedy="add list_scale",
            )
        if reading not in ("balance", "expectation"):
            raise InputError(f"reading must be balance or expectation, not {reading!r}", where="survey")
        self.calibrate, self.reading = calibrate, reading
        num = len(self.words)
        self._orders = [self.words[i:] + self.words[:i] for i in range(num if permute else 1)]
        self._guard = Guard(self.question, self.template, model.codec)
        self._variants: Variants = variants(self.words, model.codec, self.question)

    @property
    def identity(self) -> str:
        settings = [self.question, self.words, self.template.text, self.header, len(self._orders)]
        settings += [self.calibrate, self.list_scale, self.reading]
        return f"survey {hashlib.sha256(to_json(settings).encode()).hexdigest()[:16]} of {self.model.identity}"

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        return frozenset({Evaluate})

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        require(self, {type(request) for request in requests})
        plans = [self._plan(request) for request in requests if isinstance(request, Evaluate)]
        for index, reply in self.model.answer([plan.request for plan in plans]):
            yield index, self._scores(plans[index], reply)

    def prompt(self, query: str, answer: str, order: Sequence[str] | None = None) -> Prompt:
        """What the model reads about one answer."""
        pair = self.template.fill(query, answer)
        pair += "" if pair[-1:].isspace() else "\n"
        listed = order or self._orders[0]
        if self.model.chat:
            ask = f"\n{self.question}\nReply with one of: {', '.join(listed)}." if self.list_scale else self.question
            return (Message("user", self.header + pair + ask),)
        scale = f" {', '.join(listed[:-1])} or {listed[-1]}?" if self.list_scale else ""
        return self.header + pair + self.question + scale

    def _plan(self, request: Evaluate) -> _Plan:
        cuts = tuple(self._guard.cut(item.answer) for item in request.items)
        rows = [(item.query, cut.text) for item, cut in zip(request.items, cuts, strict=True)]
        if self.calibrate and rows:
            rows.append((CONTENT_FREE, CONTENT_FREE))
        prompts = tuple(self.prompt(query, text, order) for order in self._orders for query, text in rows)
        return _Plan(cuts, LogProb(prompts=prompts, continuations=(self._variants.text,) * len(prompts)))

    def _scores(self, plan: _Plan, reply: LogProbs) -> Scores:
        num_items, num_rows = len(plan.cuts), len(reply.logprob) // len(self._orders)
        read = [on_scale(self._variants, row, len(self.words)) for row in reply.logprob]
        mean = [_mean(read[row::num_rows]) for row in range(num_rows)] if num_rows else []
        free = mean[num_items].probability if self.calibrate and mean else None
        both = [self._score(one, cut, free) for one, cut in zip(mean, plan.cuts, strict=False)]
        score = np.array([score for score, _ in both], np.float64)
        return Scores(score=score, parts=tuple(parts for _, parts in both), cost=reply.cost)

    def _score(self, one: OnScale, cut: Cut, free: FloatArray | None) -> tuple[float, Mapping[str, float]]:
        share = one.share
        if free is not None and share.sum() > 0:
            share = share / np.maximum(free, np.finfo(np.float64).tiny)
            share = share / share.sum()
        positive = share[share > 0]
        parts = dict(zip(self.words, one.probability.tolist(), strict=True))
        parts |= {"off_scale": one.off_scale, "entropy": float(-(positive * np.log(positive)).sum())}
        parts["cut"] = float(cut.was_cut)
        if cut.was_cut or not positive.size:
            return 0.0, parts
        return (balance if self.reading == "balance" else expectation)(share), parts


def _mean(read: Sequence[OnScale]) -> OnScale:
    if len(read) == 1:
        return read[0]
    probability = np.mean([one.probability for one in read], axis=0)
    total = float(probability.sum())
    # where every probability underflows the shares still tell the words apart
    share = probability / total if total > 0 else np.mean([one.share for one in read], axis=0)
    return OnScale(probability, share, float(np.mean([one.off_scale for one in read])))


def off_scale_warning(parts: Sequence[Mapping[str, float]]) -> str | None:
    """One line to show once when, over these items, most of the mass fell on none of the scale's words; else None."""
    mass = [one["off_scale"] for one in parts if "off_scale" in one]
    if not mass or (mean := sum(mass) / len(mass)) <= 0.5:
        return None
    return (
        f"the survey's words hold {1 - mean:.2g} of the model's probability, {mean:.0%} fell on none of them "
        f"({len(mass)} answers): scores compare small numbers and may mean nothing; try other words or another question"
    )


def from_spec(setting: Setting, flags: tuple[str, ...], options: Mapping[str, Any]) -> Survey:
    """``survey [digits] [permute] [calibrate] [list_scale] [question=..] [words=low|..|high] [reading=..] [header=..]``."""
    check_names("survey", flags, ["digits", "permute", "calibrate", "list_scale"])
    check_names("survey", options, ["question", "words", "pair", "header", "reading"])
    words: Any = options.get("words", DIGITS if "digits" in flags else WORDS)
    if isinstance(words, str):
        words = words.split("|" if "|" in words else ",")
    return Survey(
        need_model(setting, "survey"),
        str(options.get("question", DIGITS_QUESTION if "digits" in flags else QUESTION)),
        words,
        pair=str(options.get("pair", setting.pair)),
        header=str(options.get("header", setting.header)),
        permute="permute" in flags,
        calibrate="calibrate" in flags,
        list_scale=True if "list_scale" in flags else None,
        reading=options.get("reading", "balance"),
    )
