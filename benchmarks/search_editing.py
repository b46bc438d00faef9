"""A late word that constrains an early one: the second line of a couplet is given, the first is to be written.

"She drew ___ ___,\\nand beside it an owl." Only a word that rhymes with the given one is right, with its article.
Left-to-right search meets the constraint after the word is written; editing sees both at once. Equal forward tokens.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np

import winnow as wn
from benchmarks.lockstep import SEEDS, Kept, mean, part, table, together
from winnow.models.masked import Masked, load_masked
from winnow.ports.program import Program, ask
from winnow.ports.requests import Complete, LanguageModel, LogProb, Router
from winnow.search.call import prepare
from winnow.search.result import result_of
from winnow.values.random import Key

BASELINE = "left to right, best of n"
METHODS = (
    "evolve, likelihood",  # sets the budget
    "evolve, pseudo-likelihood",
    "gibbs",
    BASELINE,
    "left to right, best of 4 n",
    "left to right, smc",
)


def editing(num: int, kept: Kept, *, causal: str = "bundled", masked_name: str = "bundled") -> None:
    """Right nouns, and articles that fit, by method; ``num`` couplets a seed."""
    model, masked = wn.load(causal), load_masked(masked_name)
    text = (resources.files("winnow") / "data" / "articles.jsonl").read_text(encoding="utf-8")
    items = {f"{row['article']}{row['noun']}": row for row in map(json.loads, text.splitlines())}
    asked = [[items[late] for late in part(list(items), seed, num)] for seed in SEEDS]
    about = {"contest": "editing", "model": model.identity, "masked": masked.identity, "asked": asked}
    rows: dict[str, Mapping[str, list[float]]] = {}
    budget = 0
    for name in METHODS:
        row = kept.row(
            {**about, "method": name, "budget": budget},
            lambda name=name, budget=budget: {"seeds": _all(name, model, masked, asked, budget)},  # type: ignore[misc]
        )
        rows[name] = row["seeds"]
        budget = budget or round(float(np.mean(rows[name]["forward tokens"])))
        print(f"{name}: {row['cpu_seconds']} s of processor time", file=sys.stderr, flush=True)
    shown = []
    for name, values in rows.items():
        apart = np.array(values["right noun"]) - np.array(rows[BASELINE]["right noun"])
        said = {key: str(mean(many)) for key, many in values.items()}
        shown.append({"method": name, **said, "right noun, less left to right's": str(mean(apart.tolist()))})
    table(f"bundled couplets, the second line given, {len(asked[0])} a seed", shown)


def _all(
    name: str, model: LanguageModel, masked: Masked, asked: Sequence[Sequence[Mapping[str, Any]]], budget: int
) -> dict[str, list[float]]:
    """By seed: the share of right nouns, of articles that fit theirs, and the forward tokens of a couplet."""
    write = _left_to_right if name.startswith("left to right") else _edited
    flat = [(seed, 1000 * seed + number, item) for seed, many in enumerate(asked) for number, item in enumerate(many)]
    programs = [write(name, model, masked, item, Key(number), budget) for _, number, item in flat]
    found: list[list[tuple[bool, bool, int]]] = [[] for _ in asked]
    for (seed, _, item), ((text, tokens), cost) in zip(flat, together(programs, Router(model, masked)), strict=True):
        noun, article = right(text, item["rhymes_with"].strip())
        found[seed].append((noun, article, tokens or cost.prompt_tokens))
    columns = ("right noun", "article that fits its noun", "forward tokens")
    return {column: [float(np.mean([one[at] for one in rows])) for rows in found] for at, column in enumerate(columns)}


def _late(item: Mapping[str, Any]) -> str:
    return f",\nand beside it{item['article']}{item['noun']}."


def _edited(
    name: str, model: LanguageModel, masked: Masked, item: Mapping[str, Any], key: Key, budget: int
) -> Program[tuple[str, int]]:
    """The text that editing prefers; its cost is what was fed to both models."""
    rounds = {METHODS[0]: 6, "gibbs": 5}.get(name, 3)  # a pseudo-log-likelihood costs a row for each open place
    settings: dict[str, Any] = {"population": 6, "rounds": rounds, "span": 2}
    settings |= {"mutation": "gibbs"} if name == "gibbs" else {}
    fitness = "likelihood" if name == METHODS[0] else "pseudo"
    prompt = f"She drew ___ ___{_late(item)}"
    ready = prepare(model, prompt, "evolve", key=key.child("search"), masked=masked, fitness=fitness, **settings)
    native = yield from ready.program
    return result_of(native, ready.problem).text, 0


def _left_to_right(
    name: str, model: LanguageModel, masked: Masked, item: Mapping[str, Any], key: Key, budget: int
) -> Program[tuple[str, int]]:
    """First lines that were sampled, chosen by how probable the given line is after each."""
    late = _late(item)
    length = len(model.codec.encode(f"She drew a cat{late}"))
    num = max(1, round(budget / length)) * (4 if "4 n" in name else 1)
    request = Complete(prompts=("She drew",) * num, slots=np.arange(num), key=key, max_tokens=4, stop=(",",))
    firsts = (yield from ask(request)).text
    scored = yield from ask(LogProb(prompts=tuple(f"She drew{one}" for one in firsts), continuations=((late,),) * num))
    total = np.array([float(row[0]) for row in scored.logprob])
    if name.endswith("smc"):  # one draw from the particles weighted by what comes after
        weight = np.exp(total - total.max())
        chosen = int(np.searchsorted(np.cumsum(weight) / weight.sum(), np.random.default_rng(key.seed).random()))
    else:
        chosen = int(np.argmax(total))
    return f"She drew{firsts[chosen]}{late}", num * length


def right(text: str, wanted: str) -> tuple[bool, bool]:
    """Whether the noun rhymes, and whether the article is the one of whatever noun there is."""
    found = re.search(r"She drew (an?) (\w+)", text)
    if found is None:
        return False, False
    noun = found.group(2)
    return noun == wanted, (found.group(1) == "an") == (noun[0] in "aeiou" or noun == "hour")
