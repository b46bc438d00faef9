"""From a prompt to texts that can be edited, and what their fitness is: the surface of ``winnow.search.evolve``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from winnow.ports.program import Note, Program, Replies, ask
from winnow.ports.requests import Complete, Evaluate, Item, LogProb
from winnow.search.breeding import Opened, Text, fill, pseudo_logprob
from winnow.search.evolve import Breeding, Evolved, Fitness, evolve, gibbs
from winnow.search.parents import Selection, check_selection
from winnow.search.problem import MaskedCodec, Problem
from winnow.values.errors import CapabilityError, InputError, nearest
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import uniforms

BLANK = "___"
CRITERIA = ("pseudo", "likelihood", "evaluator")
MUTATIONS = ("spans", "gibbs")


def edit(problem: Problem, settings: Mapping[str, Any]) -> Program[Evolved]:
    """Make the first texts and evolve them; every note's texts have their log-probabilities under the causal model.

    Raises
    ------
    CapabilityError
        When there is no masked or no causal model, or nobody answers what the fitness asks.
    InputError
        For an unknown fitness or mutation, or a text in which nothing may be changed.
    """
    if problem.masked is None:
        raise CapabilityError(
            "edits with a masked model, and there is none",
            where="evolve",
            remedy="give --masked bundled or a directory",
        )
    if not problem.causal:
        raise CapabilityError(
            "edits whole texts, which nothing that writes from left to right can bind",
            where="evolve",
            remedy="no --regex, --lark or --json-schema: write ___ where something is to be filled in",
        )
    if settings["mutation"] not in MUTATIONS:
        raise InputError(
            f"no mutation {settings['mutation']!r}", where="mutation", remedy=nearest(settings["mutation"], MUTATIONS)
        )
    selection = Selection(settings["select"])
    check_selection(selection)
    pricing = Pricing(problem, problem.masked)
    fitness = _fitness(problem, pricing, settings["fitness"])
    start = yield from _first(problem, problem.masked, settings)
    key, rounds = problem.key.child("evolve"), settings["rounds"]
    if settings["mutation"] == "gibbs":
        return (yield from pricing.told(gibbs(start, fitness=fitness, rounds=rounds, key=key)))
    breeding = Breeding(settings["span"], settings["resize"], settings["recombine"])
    program = evolve(start, fitness=fitness, rounds=rounds, key=key, breeding=breeding, selection=selection)
    return (yield from pricing.told(program))


class Pricing:
    """Log-probabilities of texts under the causal model, each asked once."""

    def __init__(self, problem: Problem, masked: MaskedCodec) -> None:
        self.problem, self.masked = problem, masked
        self._known: dict[str, tuple[float, int]] = {}

    def of(self, texts: Sequence[str]) -> Program[tuple[FloatArray, IntArray]]:
        """Natural log-probability ``[N]`` of what stands after the prompt, and its number of tokens ``[N]``."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            parts = [self._parts(text) for text in new]
            request = LogProb(
                prompts=tuple(before for before, _ in parts), continuations=tuple((after,) for _, after in parts)
            )
            reply = yield from ask(request)
            for text, logprob, size in zip(new, reply.logprob, reply.num_tokens, strict=True):
                self._known[text] = float(logprob[0]), int(size[0])
        both = [self._known[text] for text in texts]
        return np.array([one[0] for one in both], np.float64), np.array([one[1] for one in both], np.int64)

    def told(self, program: Program[Evolved]) -> Program[Evolved]:
        """The same program; what it notes and returns is priced."""
        replies: Replies = None
        try:
            while True:
                step = program.send(replies)
                if isinstance(step, Note):
                    found = yield from self._priced(step.info["found"])
                    best = float(found.logprob[found.best]) if found.logprob is not None else np.nan
                    yield replace(step, info={**step.info, "best": best, "found": found})
                    replies = None
                else:
                    replies = yield step
        except StopIteration as stop:
            return (yield from self._priced(stop.value))
        finally:
            program.close()

    def _priced(self, evolved: Evolved) -> Program[Evolved]:
        logprob, num_tokens = yield from self.of(evolved.written(self.masked))
        return replace(evolved, logprob=logprob, num_tokens=num_tokens)

    def _parts(self, text: str) -> tuple[str, str]:
        after = _after(self.problem, text)
        return text[: len(text) - len(after)], after


def _fitness(problem: Problem, pricing: Pricing, names: str) -> Fitness:
    wanted = ["evaluator" if problem.evaluated else "pseudo"] if names == "auto" else names.split(",")
    for name in wanted:
        if name not in CRITERIA:
            raise InputError(f"no fitness {name!r}", where="fitness", remedy=nearest(name, CRITERIA))
    if "evaluator" in wanted and not problem.evaluated:
        raise CapabilityError("there is no evaluator", where="fitness evaluator", remedy="give --evaluator")

    def fitness(texts: Sequence[Text]) -> Program[FloatArray]:
        columns = []
        written = tuple(pricing.masked.codec.decode(text.tokens) for text in texts)
        for name in wanted:
            if name == "pseudo":
                total, count = yield from pseudo_logprob(texts)
                columns.append(total / np.maximum(count, 1))
            elif name == "likelihood":
                logprob, length = yield from pricing.of(written)
                columns.append(logprob / np.maximum(length, 1))
            else:
                answers = [_after(problem, text) for text in written]
                reply = yield from ask(Evaluate(items=tuple(Item(problem.query, text.strip()) for text in answers)))
                columns.append(reply.score)
        return np.column_stack(columns)

    return fitness


def _after(problem: Problem, text: str) -> str:
    """What was written after the prompt; the whole text where the prompt has blanks."""
    prompt = problem.prompt if isinstance(problem.prompt, str) else ""
    return text[len(prompt) :] if text.startswith(prompt) else text


def _first(problem: Problem, masked: MaskedCodec, settings: Mapping[str, Any]) -> Program[list[Text]]:
    if not isinstance(problem.prompt, str):
        raise CapabilityError("edits text, not chat messages", where="evolve", remedy="give the prompt as text")
    num = settings["population"]
    if num < 1:
        raise InputError(f"a population of {num} is none", where="population", remedy="at least 1")
    prompt = problem.prompt.replace(BLANK, masked.mask_text)
    row = _joined(masked, masked.codec.encode(prompt))
    if masked.mask_token in row:
        text = Text(tuple(row), tuple(token != masked.mask_token for token in row))
        order = uniforms(problem.key, "order of blanks", np.arange(num), len(text.editable)).argsort(axis=1)
        return (yield from _fill_blanks([text] * num, order, problem))
    key = problem.key.child("first texts")
    request = Complete(prompts=(problem.prompt,) * num, slots=np.arange(num), key=key, max_tokens=settings["depth"])
    written = yield from ask(request)
    texts = [_fixed(problem.prompt, problem.prompt + one, masked, settings["keep"]) for one in written.text]
    if not all(text.editable for text in texts):
        raise InputError(
            "the model wrote nothing after the prompt, so nothing may be changed",
            where="evolve",
            remedy=f"another prompt, or {BLANK} where something is to be filled in",
        )
    return texts


def _joined(masked: MaskedCodec, row: list[int]) -> list[int]:
    """The row without spaces that stand alone before a mask, where this model's words carry their own."""

    def blank(token: int) -> bool:
        text = masked.codec.decode([token])
        return bool(text) and text.isspace() and "\n" not in text

    try:
        apart = any(blank(token) for token in masked.codec.encode("a a"))
    except InputError:
        apart = True
    if apart:
        return row
    following = [*row[1:], None]
    return [
        token for token, after in zip(row, following, strict=True) if after != masked.mask_token or not blank(token)
    ]


def _fixed(prompt: str, whole: str, masked: MaskedCodec, keep: Sequence[str]) -> Text:
    """The tokens that hold the prompt stay, those of kept words, and those that are no part of a text."""
    row = masked.codec.encode(whole)
    lead = next((n for n in range(len(row) + 1) if len(masked.codec.decode(row[:n])) >= len(prompt)), len(row))
    fixed = [place < lead or token in masked.special for place, token in enumerate(row)]
    for word in keep:
        for start in range(lead, len(row)):
            for end in range(start + 1, min(len(row), start + len(word) + 2) + 1):
                if masked.codec.decode(row[start:end]).strip() == word.strip():
                    fixed[start:end] = [True] * (end - start)
                    break
    return Text(tuple(row), tuple(fixed))


def _fill_blanks(texts: list[Text], order: np.ndarray, problem: Problem) -> Program[list[Text]]:
    """Write every blank, one after another in an order of each text's own, with what is unwritten hidden."""
    places = np.array([text.editable for text in texts])
    uniform = uniforms(problem.key, "blanks", np.arange(len(texts)), places.shape[1])
    for step in range(places.shape[1]):
        opened = []
        for index, text in enumerate(texts):
            left = places[index][order[index, step:]].tolist()
            opened.append(Opened(text, (left[0], *sorted(left[1:]))))
        texts = yield from fill(opened, uniform[:, step : step + 1], places=1)
    return texts
