"""The rows of the engine's benchmark: what Winnow's public functions are asked, and who else does the same work.

A row's work takes a repetition's number. Texts are of that row and repetition alone, so that nobody finds keys and values
of them from before.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import winnow
from benchmarks import engine_rivals as rivals
from benchmarks.engine_models import Subject
from winnow.lookahead.beams import beams, distributions
from winnow.ports.program import Program, ask, run
from winnow.ports.requests import Complete, LanguageModel, LogProb, NextToken, Request
from winnow.values.tree import Tree

PROMPT, LENGTH, NUM = 200, 64, 64  # tokens of a prompt, tokens written, completions
CONTEXT, ITEM, ITEMS = 400, 30, 200
WORDS = (" abcd", " bcde", " cd", " de fg", " ef")
POSITIONS, WIDTH, DEPTH, EVERY = 128, 8, 6, 8
PARTICLES = 16


class Rival(NamedTuple):
    """Somebody else's way to the same numbers."""

    run: Callable[[int], Any]
    share: float = 1.0  # of the work that is done; its time is divided by this
    goal: Mapping[str, float] = {}  # least ratio by model
    aim: bool = False  # a goal that is aimed at, and does not fail the benchmark


class Row(NamedTuple):
    """A piece of work."""

    name: str
    work: Callable[[LanguageModel, int], Any]
    rivals: Mapping[str, Rival]
    roofline: Mapping[str, float] = {}  # least fraction of the roofline by model
    tokens: float = 1.0  # most tokens fed over tokens needed
    ready: Callable[[int], Any] = lambda rep: None  # makes a repetition's texts, before anybody's time is taken


class Counting:
    """A model that keeps count of the tree nodes which what it is asked needs."""

    def __init__(self, model: Any) -> None:
        self.model, self.needed = model, 0
        self._paths: dict[tuple[int, int], int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def answer(self, requests: Sequence[Request[Any]]) -> Iterator[tuple[int, Any]]:
        """Replies of the model."""
        for request in requests:
            if isinstance(request, NextToken):
                for node in request.nodes:
                    self._need(request.tree.sequence(int(node)))
            elif isinstance(request, Complete):
                for prompt in request.prompts:
                    self._need(self.model.codec.encode(prompt))
            elif isinstance(request, LogProb):
                heads, tails = self.model.codec.encode_continuations(request.prompts, request.continuations)
                for head, many in zip(heads, tails, strict=True):
                    for tail in many:
                        self._need([*head, *tail[:-1]])
        for index, reply in self.model.answer(requests):
            if isinstance(requests[index], Complete):  # of what a completion wrote, all but the last is fed
                self.needed += int(np.maximum(reply.num_tokens - 1, 0).sum())
            yield index, reply

    def _need(self, sequence: Sequence[int]) -> None:
        place = 0
        for token in sequence:
            key = (place, int(token))
            if key not in self._paths:
                self._paths[key] = len(self._paths) + 1
                self.needed += 1
            place = self._paths[key]


def lookahead(tree: Tree, nodes: np.ndarray, model: LanguageModel, width: int, depth: int) -> Program[Any]:
    """What beam search finds after every position."""
    first = yield from distributions(tree, nodes, model.codec.vocabulary_size)
    return (yield from beams(tree, nodes, first, widths=[width], depth=depth))


def look(model: LanguageModel, tokens: Sequence[int], width: int, depth: int) -> Any:
    """Lookahead after each of ``tokens``, whose root is asked about first, as in the program: so a tree is begun anew."""
    tree, last, nodes = Tree([tokens[:1]]), 0, [0]
    run(ask(NextToken(tree=tree, nodes=np.array([0]), top=1)), model)
    for token in tokens[1:]:
        tree, (last,) = tree.append([last], [token], [0.0])
        nodes.append(int(last))
    return run(lookahead(tree, np.array(nodes), model, width, depth), model)


def rows(subject: Subject, ending: Subject | None, genlm: Callable[[list[int]], float] | None) -> list[Row]:
    """All rows of a model; ``ending`` is the same model with end tokens, ``genlm`` runs genlm-control."""

    def prompt(row: str, rep: int, of: Subject = subject) -> str:
        return of.text(PROMPT, row, rep)

    def ids(row: str, rep: int, of: Subject = subject) -> list[int]:
        return of.tokens(prompt(row, rep, of))

    def positions(rep: int) -> list[int]:
        return subject.tokens(subject.text(POSITIONS, "lookahead", rep))[:POSITIONS]

    table = [
        Row(
            f"{NUM} completions x {LENGTH} tokens after {PROMPT}",
            lambda model, rep: winnow.complete(model, prompt("completions", rep), num=NUM, max_tokens=LENGTH, seed=rep),
            {
                **_two_caches(
                    "generate", rivals.generate, subject, partial(ids, "completions"), {"34M": 6.5, "4M": 5.5}
                ),
                **_two_caches(
                    "prefilled", rivals.prefilled, subject, partial(ids, "completions"), {"34M": 3.3, "4M": 3.3}
                ),
            },
            roofline={"34M": 0.62, "4M": 0.52},
            tokens=1.05 if subject.name == "bundled" else 1.0,
        ),
        Row(
            f"beam {WIDTH}, {LENGTH} tokens",
            lambda model, rep: winnow.search(
                model, prompt("beam", rep), "beam", width=WIDTH, depth=LENGTH, ending="first", length_exponent=0.0
            ),
            {
                "generate(num_beams=8)": Rival(
                    lambda rep: rivals.beams(subject.rival, ids("beam", rep), WIDTH, LENGTH),
                    goal={"34M": 6.0, "4M": 6.0},
                    aim=True,
                )
            },
        ),
        _particles(partial(prompt, "smc"), partial(ids, "smc"), genlm),
        Row(
            f"lookahead width {WIDTH}, depth {DEPTH} at {POSITIONS} positions",
            lambda model, rep: look(model, positions(rep), WIDTH, DEPTH),
            {
                "generate(num_beams=8) per position": Rival(
                    lambda rep: rivals.beams_at(subject.rival, positions(rep), WIDTH, DEPTH, EVERY),
                    share=1 / EVERY,
                    goal={"34M": 22.0, "4M": 22.0},
                )
            },
            roofline={"34M": 0.85, "4M": 0.85},
        ),
        _survey(subject),
    ]
    if ending is not None:
        table.insert(
            1,
            Row(
                f"{NUM} completions, half of them ending early",
                lambda model, rep: winnow.complete(
                    model, prompt("early", rep, ending), num=NUM, max_tokens=LENGTH, seed=rep
                ),
                _two_caches("generate", rivals.generate, ending, lambda rep: ids("early", rep, ending), {}),
                tokens=1.05,
            ),
        )
    return table


def _two_caches(
    name: str, way: Callable[..., Any], subject: Subject, ids: Callable[[int], list[int]], goal: Mapping[str, float]
) -> dict[str, Rival]:
    """A rival with a dynamic and with a static cache; the faster one counts."""

    def work(rep: int, static: bool) -> Any:
        return way(subject.rival, ids(rep), NUM, LENGTH, static=static)

    return {
        f"{name} ({'static' if static else 'dynamic'} cache)": Rival(partial(work, static=static), goal=goal)
        for static in (False, True)
    }


def _particles(
    prompt: Callable[[int], str], ids: Callable[[int], list[int]], genlm: Callable[[list[int]], float] | None
) -> Row:
    others = {}
    if genlm is not None:
        others["genlm-control"] = Rival(lambda rep: genlm(ids(rep)), goal={"34M": 6.0, "4M": 6.0}, aim=True)
    return Row(
        f"SMC, {PARTICLES} particles x {LENGTH} tokens",
        lambda model, rep: winnow.search(model, prompt(rep), "smc", particles=PARTICLES, depth=LENGTH, seed=rep),
        others,
    )


def _survey(subject: Subject) -> Row:
    """Items after one context; words of several tokens each."""

    @functools.cache
    def texts(rep: int) -> tuple[str, list[str]]:
        items = [subject.text(ITEM, "item", rep, number) for number in range(ITEMS)]
        return subject.text(CONTEXT, "context", rep), items

    def asked(rep: int, every: int = 1) -> list[str]:
        context, items = texts(rep)
        return [context + item for item in items[::every]]

    def parts(rep: int, every: int) -> tuple[list[int], list[list[int]], list[list[int]]]:
        """Tokens of context, items and words, as the model is given them."""
        codec, (context, _) = subject.packed.codec, texts(rep)
        head = codec.encode(context)
        heads, tails = codec.encode_continuations(asked(rep, every), [WORDS] * (ITEMS // every))
        shared = next(n for n in range(len(head), 0, -1) if all(row[:n] == head[:n] for row in heads))
        return head[:shared], [row[shared:] for row in heads], [word for word in tails[0] if word is not None]

    def cached(way: Callable[..., Any]) -> Callable[[int], float]:
        """Seconds for all items: of every fifth five times over, of the context once."""

        def work(rep: int) -> float:
            head, items, words = parts(rep, 5)
            same = len({len(item) for item in items}) == 1  # the second way needs items of one length
            began = time.process_time()
            first = rivals.encoded(subject.rival, head)
            middle = time.process_time()
            (way if same else rivals.rows_behind_context)(subject.rival, first, items, words)
            return middle - began + 5 * (time.process_time() - middle)

        return work

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(subject.path)
    goal = {"34M": 4.5, "4M": 4.5}
    return Row(
        f"survey of {ITEMS} items x {len(WORDS)} words after {CONTEXT} tokens",
        lambda model, rep: winnow.logprob(model, asked(rep), WORDS),
        {
            "re-encoding": Rival(
                lambda rep: rivals.reencoding(subject.rival, tokenizer, asked(rep, 50), WORDS),
                share=1 / 50,
                goal={"34M": 100.0, "4M": 100.0},
            ),
            "best cached (rows)": Rival(cached(rivals.rows_behind_context), goal=goal),
            "best cached (items, then words)": Rival(cached(rivals.items_then_words), goal=goal),
        },
        roofline={"34M": 0.80, "4M": 0.80},
        tokens=1.05 if subject.name == "bundled" else 1.0,
        ready=texts,
    )
