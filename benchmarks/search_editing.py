"""A late word that constrains an early one: the second line of a couplet is given, the first is to be written.

"She drew ___ ___,\\nand beside it an owl." Only a word that rhymes with the given one is right, with its article.
Left-to-right search meets the constraint after the word is written; editing sees both at once. Equal forward tokens.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

import numpy as np

import winnow as wn
from winnow.models.masked import load_masked
from winnow.ports.program import ask, run
from winnow.ports.requests import Complete, LanguageModel, LogProb
from winnow.search.call import search
from winnow.values.random import Key

METHODS = (
    "evolve, likelihood",
    "evolve, pseudo-likelihood",
    "gibbs",
    "left to right, best of n",
    "left to right, best of 4 n",
    "left to right, smc",
)


def editing(num: int, *, causal: str = "bundled", masked_name: str = "bundled") -> None:
    """Right nouns, and articles that fit, by method; ``num`` couplets a seed."""
    from benchmarks.search_quality import SEEDS, mean, part, table

    model, masked = wn.load(causal), load_masked(masked_name)
    text = (resources.files("winnow") / "data" / "articles.jsonl").read_text(encoding="utf-8")
    items = {f"{row['article']}{row['noun']}": row for row in map(json.loads, text.splitlines())}
    rows: list[dict[str, str]] = []
    budget, found = 0, dict[str, list[float]]()
    for name in METHODS:
        nouns: list[float] = []
        both: list[float] = []
        cost: list[float] = []
        for seed in SEEDS:
            here = []
            for number, late in enumerate(part(list(items), seed, num)):
                here.append(_one(name, model, masked, items[late], 1000 * seed + number, budget))
            nouns.append(float(np.mean([one[0] for one in here])))
            both.append(float(np.mean([one[1] for one in here])))
            cost.append(float(np.mean([one[2] for one in here])))
        if name == METHODS[0]:
            budget = int(np.mean(cost))
        rows.append(
            {
                "method": name,
                "right noun": str(mean(nouns)),
                "article that fits its noun": str(mean(both)),
                "forward tokens": str(mean(cost)),
            }
        )
        print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
        found[name] = nouns
    for row in rows:
        apart = np.array(found[row["method"]]) - np.array(found["left to right, best of n"])
        row["right noun, less left to right's"] = str(mean(apart.tolist()))
    table(f"bundled couplets, the second line given, {num} a seed", rows)


def _one(
    name: str, model: LanguageModel, masked: Any, item: dict[str, Any], seed: int, budget: int
) -> tuple[bool, bool, int]:
    """Whether the noun is right, whether the article is too, and the forward tokens."""
    late = f",\nand beside it{item['article']}{item['noun']}."
    wanted = item["rhymes_with"].strip()
    if not name.startswith("left to right"):
        settings: dict[str, Any] = {"population": 6, "rounds": 6, "span": 2}
        settings |= {"mutation": "gibbs", "rounds": 10} if name == "gibbs" else {}
        fitness = "likelihood" if name == METHODS[0] else "pseudo"
        found = search(
            model, f"She drew ___ ___{late}", "evolve", masked=masked, seed=seed, fitness=fitness, **settings
        )
        return *_right(found.text, wanted), found.cost.prompt_tokens
    length = len(model.codec.encode(f"She drew a cat{late}"))
    num = max(1, round(budget / length)) * (4 if "4 n" in name else 1)
    request = Complete(prompts=("She drew",) * num, slots=np.arange(num), key=Key(seed), max_tokens=4, stop=(",",))
    firsts = list(run(ask(request), model).text)
    scored = run(ask(LogProb(prompts=tuple(f"She drew{one}" for one in firsts), continuations=((late,),) * num)), model)
    total = np.array([float(row[0]) for row in scored.logprob])
    if name.endswith("smc"):  # one draw from the particles weighted by what comes after
        weight = np.exp(total - total.max())
        chosen = int(np.searchsorted(np.cumsum(weight) / weight.sum(), np.random.default_rng(seed).random()))
    else:
        chosen = int(np.argmax(total))
    return *_right(f"She drew{firsts[chosen]}{late}", wanted), num * length


def _right(text: str, wanted: str) -> tuple[bool, bool]:
    """Whether the noun rhymes, and whether the article is the one of whatever noun there is."""
    found = re.search(r"She drew (an?) (\w+)", text)
    if found is None:
        return False, False
    noun = found.group(2)
    return noun == wanted, (found.group(1) == "an") == (noun[0] in "aeiou" or noun == "hour")
