"""What each search finds at equal cost, beside best-of-n: five seeds, intervals, losers too.

    python -m benchmarks.search_quality open      stories, shakespeare, tales: log-probability and repetition
    python -m benchmarks.search_quality closed    facts and rhymes: right answers, short targets
    python -m benchmarks.search_quality scored    tales scored by a function: what selection on a score finds
    python -m benchmarks.search_quality power     power SMC against low temperature
    python -m benchmarks.search_quality human     probability of human text against what beam search finds
    python -m benchmarks.search_quality editing   a late word that constrains an early one

Cost is forward tokens: positions a model with a cache must evaluate (the prompt once, then every node asked about; for
completions every token drawn; for a masked model every token of every row). Each seed takes prompts of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

import winnow as wn
from benchmarks.curves import draw_curves
from winnow.evaluators.verifier import Verifier
from winnow.ports.program import ask, run
from winnow.ports.requests import LanguageModel, LogProb
from winnow.search.call import search
from winnow.search.result import Result
from winnow.values.random import Key, choose, permutation

MODELS = Path(__file__).parents[1] / ".." / "shared" / "models"
DATA = Path(__file__).parents[1] / ".." / "shared" / "data"
SEEDS = range(5)
OPENINGS = (
    "Once upon a time, there was a", "One day, a little girl", "Tom and his mom", "The cat was very", "Lily wanted to",
    "There was a big", "In the park,", "A boy named Tim", "The sun was", "Every day, Ben", "A small bird", "Mia had a",
    "It was a rainy day and", "The dog ran to", "Sam saw a", "Once there was an old", "Anna and Max", "A frog lived in",
    "The little car", "One night, the moon",
)  # fmt: skip
GLAD = frozenset(["laughed", "danced", "sang", "smiled", "cheered", "whistled"])
SAD = frozenset(["wept", "sighed", "frowned", "mourned", "grumbled", "shivered"])
PEOPLE = ["Mira", "Tom", "Ada", "Ben", "Ivy", "Otto", "Nora", "Max", "Ella", "Finn", "Ruth", "Leo"]

Method = Callable[[LanguageModel, str, int], Result]


class Mean(NamedTuple):
    """A mean over seeds with its 95 % interval (t, n - 1 degrees)."""

    value: float
    half: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.half:.3f}"


def mean(values: Sequence[float]) -> Mean:
    """The mean of one number a seed."""
    data = np.array(values, np.float64)
    if data.size < 2:
        return Mean(float(data.mean()), float("nan"))
    half = float(stats.t.ppf(0.975, data.size - 1) * data.std(ddof=1) / np.sqrt(data.size))
    return Mean(float(data.mean()), half)


def forward_tokens(result: Result, model: LanguageModel, prompt: str) -> int:
    """Positions that had to be evaluated, were every prefix computed once."""
    head = len(model.codec.encode(prompt))
    drawn = result.cost.new_tokens
    return head + (drawn if drawn else result.cost.calls)


def likely(query: str, answer: str) -> float:
    """Scores nothing: best-of-n by log-probability picks among what was sampled."""
    return 0.5


EVEN = Verifier("even", likely, identity="even")


def sampled(num: int, depth: int, temperature: float = 1.0) -> Method:
    """Best of n by the model's own log-probability."""

    def method(model: LanguageModel, prompt: str, seed: int) -> Result:
        found = search(
            model, prompt, "best-of-n", num=num, depth=depth, temperature=temperature, evaluator=EVEN, seed=seed
        )
        return preferred(found, found.logprob)

    return method


def preferred(result: Result, rank: np.ndarray) -> Result:
    """The same result by another rank."""
    from dataclasses import replace

    return replace(result, best=int(np.argmax(rank)), rank=np.asarray(rank, np.float64))


def named(name: str, **settings: Any) -> Method:
    """A search with its settings."""
    return lambda model, prompt, seed: search(model, prompt, name, seed=seed, **settings)


def contestants(width: int, depth: int) -> dict[str, Method]:
    """Searches of about ``width * depth`` forward tokens each."""
    return {
        "greedy": named("beam", width=1, depth=depth),
        f"sample 1 (cost 1/{width})": sampled(1, depth),
        f"best of {width}": sampled(width, depth),
        f"best of {2 * width}": sampled(2 * width, depth),
        f"best of {width}, temperature .5": sampled(width, depth, 0.5),
        f"beam {width}": named("beam", width=width, depth=depth),
        f"beam {width}, mean length": named("beam", width=width, depth=depth, length_exponent=1.0),
        f"diverse beam {width} in 4": named("beam", width=width, depth=depth, groups=4, diversity=1.0),
        f"smc {width}, power 4": named("smc", particles=width, depth=depth, power=4.0),
        f"smc {width}, power 4, temperature .25": named(
            "smc", particles=width, depth=depth, power=4.0, temperature=0.25
        ),
        f"mcts {width + 3}, likelihood": named(
            "mcts", simulations=width + 3, batch=4, width=width, depth=depth, value="likelihood"
        ),
    }


def distinct(text: str) -> float:
    """Different pairs of neighbouring words among all of them: 1 where nothing is repeated."""
    words = text.split()
    pairs = list(itertools.pairwise(words))
    return len(set(pairs)) / len(pairs) if pairs else 1.0


def compression(text: str) -> float:
    """Compressed length over length: the smaller the more repetitive."""
    raw = text.encode()
    return len(zlib.compress(raw, 9)) / max(1, len(raw))


def contest(
    model: LanguageModel, methods: Mapping[str, Method], prompts: Callable[[int], Sequence[str]], **measures: Any
) -> list[dict[str, Any]]:
    """A row a method: each measure's mean over seeds, of its mean over the seed's prompts.

    The last column is the first measure's difference from best-of-n on the same prompts, seed by seed.
    """
    rows, first, found_by = [], next(iter(measures)), dict[str, list[float]]()
    baseline = next((name for name in methods if name.startswith(("best of", "temperature 0.25"))), None)
    for name, method in methods.items():
        seeds: dict[str, list[float]] = {}
        for seed in SEEDS:
            values: dict[str, list[float]] = {}
            for number, prompt in enumerate(prompts(seed)):
                found = method(model, prompt, 1000 * seed + number)
                one = {key: measure(found, prompt) for key, measure in measures.items()}
                one["forward tokens"] = forward_tokens(found, model, prompt)
                for key, value in one.items():
                    values.setdefault(key, []).append(float(value))
            for key, many in values.items():
                seeds.setdefault(key, []).append(float(np.mean(many)))
        found_by[name] = seeds[first]
        rows.append({"method": name, **{key: str(mean(many)) for key, many in seeds.items()}})
        print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
    if baseline is not None:
        for row in rows:
            apart = np.array(found_by[row["method"]]) - np.array(found_by[baseline])
            row[f"{first}, less {baseline}'s"] = str(mean(apart.tolist()))
    return rows


def table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows as the log keeps them."""
    keys = list(rows[0])
    print(f"\n### {title}\n\n| {' | '.join(keys)} |\n|{'---|' * len(keys)}")
    for row in rows:
        print(f"| {' | '.join(str(row[key]) for key in keys)} |")
    print(flush=True)


def part(items: Sequence[str], seed: int, num: int) -> list[str]:
    """A seed's own share of the prompts."""
    order = permutation(Key(7), "prompts", len(items))
    return [items[int(order[(seed * num + place) % len(items)])] for place in range(num)]


LOGPROB = {
    "log-probability": lambda found, prompt: found.logprob[found.best],
    "a token": lambda found, prompt: found.logprob[found.best] / found.num_tokens[found.best],
}
FORM = {
    "distinct-2": lambda found, prompt: distinct(found.text),
    "compression": lambda found, prompt: compression(found.text),
}


def open_ended(num: int) -> None:
    """Stories and tales: how probable, how repetitive."""
    stories = wn.load(str(MODELS / "stories260K"))
    for depth in (16, 96):
        rows = contest(stories, contestants(8, depth), lambda seed: part(OPENINGS, seed, num), **LOGPROB, **FORM)
        table(f"stories260K, {depth} tokens, {num} prompts a seed", rows)
    tales = [f"Once there was {name} who" for name in PEOPLE]
    rows = contest(wn.load("bundled"), contestants(8, 30), lambda seed: part(tales, seed, num), **LOGPROB, **FORM)
    table(f"bundled, tales, at most 30 tokens, {num} prompts a seed", rows)


def closed(num: int) -> None:
    """Facts and rhymes: the share of right answers of the preferred text."""
    model = wn.load("bundled")
    rhymes = _items("rhymes.jsonl")
    facts = _items("facts.jsonl")
    right = {row["prompt"]: row["answer"].strip() for row in rhymes}
    asked = [f"Q: {row['query']}\nA:" for row in facts]
    right |= {f"Q: {row['query']}\nA:": row["answer"] for row in facts}

    def correct(found: Result, prompt: str) -> float:
        return float(found.text.strip().rstrip(".") == right[prompt])

    couplets = _items("articles.jsonl")
    right |= {row["prompt"]: f"{row['article']}{row['noun']}".strip() for row in couplets}
    tasks = {
        "couplets": [row["prompt"] for row in couplets],
        "rhymes": [row["prompt"] for row in rhymes],
        "facts": asked,
    }
    for title, prompts in tasks.items():
        asked_by = partial(part, prompts, num=num)
        rows = contest(model, contestants(8, 6), asked_by, right=correct, **LOGPROB)
        table(f"bundled, {title}, at most 6 tokens, {num} prompts a seed", rows)


def alternating(query: str, answer: str) -> float:
    """The share of a tale's four deeds that are in the order glad, sad, glad, sad; the model writes mostly one mood."""
    deeds = [word in GLAD for word in re.findall(r"\w+", answer) if word in GLAD | SAD][:4]
    return sum(deed == (place % 2 == 0) for place, deed in enumerate(deeds)) / 4


def scored(num: int) -> None:
    """Tales that should alternate in mood, which the model seldom writes: the score found, and how probable it is."""
    judge = Verifier("alternating", alternating, identity="alternating")
    depth, tales = 30, [f"Once there was {name} who" for name in PEOPLE]

    def beam_then_pick(model: LanguageModel, prompt: str, seed: int) -> Result:
        found = search(model, prompt, "beam", width=8, depth=depth)
        return preferred(found, np.array([alternating("", text) for text in found.texts]))

    def with_score(name: str, **settings: Any) -> Method:
        def method(model: LanguageModel, prompt: str, seed: int) -> Result:
            found = search(model, prompt, name, seed=seed, depth=depth, evaluator=judge, **settings)
            return preferred(found, np.array([alternating("", text) for text in found.texts]))

        return method

    methods = {
        "sample 1 (cost 1/8)": sampled(1, depth),
        "best of 8": with_score("best-of-n", num=8),
        "best of 8, temperature .5": with_score("best-of-n", num=8, temperature=0.5),
        "beam 8, then the best": beam_then_pick,
        "smc 8, reward": with_score("smc", particles=8, inverse_temperature=8.0),
        "smc 8, reward and twist": with_score("smc", particles=8, inverse_temperature=8.0, twist=True),
        "mcts 13, score of what is written": with_score("mcts", simulations=13, batch=4, width=16, value="evaluator"),
        "mcts 64, the same (more cost)": with_score("mcts", simulations=64, batch=8, width=16, value="evaluator"),
        "mcts 2, rollouts": with_score("mcts", simulations=2, batch=2, width=8, value="rollout"),
    }
    rows = contest(
        wn.load("bundled"),
        methods,
        lambda seed: part(tales, seed, num),
        score=lambda found, prompt: alternating("", found.text),
        **LOGPROB,
    )
    table(f"bundled, tales scored by how their moods alternate, {num} prompts a seed", rows)


def power(num: int) -> None:
    """The particles' mean log-probability and variety: SMC for p^4 against sampling at temperature 1/4 and others."""
    model, depth, size = wn.load(str(MODELS / "stories260K")), 32, 32

    def cloud(name: str, **settings: Any) -> Method:
        return named(name, depth=depth, **settings)

    def weighted(found: Result, prompt: str) -> float:
        weight = np.exp(found.log_weight - found.log_weight.max())
        return float(weight @ found.logprob / weight.sum())

    def variety(found: Result, prompt: str) -> float:
        return len(set(found.texts)) / len(found.texts)

    methods: dict[str, Method] = {
        f"temperature {t}": cloud("best-of-n", num=size, temperature=t, evaluator=EVEN) for t in (1.0, 0.5, 0.25)
    }
    for alpha in (2.0, 4.0):
        methods |= {
            f"smc power {alpha:g}, proposal 1": cloud("smc", particles=size, power=alpha),
            f"smc power {alpha:g}, proposal 1/{alpha:g}": cloud(
                "smc", particles=size, power=alpha, temperature=1 / alpha
            ),
        }
    measures = {
        "mean log-probability": weighted,
        "best": lambda found, prompt: float(found.logprob.max()),
        "distinct texts": variety,
    }
    rows = contest(model, methods, lambda seed: part(OPENINGS, seed, num), **measures)
    table(f"stories260K, {size} texts of {depth} tokens, {num} prompts a seed", rows)


def human(num: int) -> None:
    """Shakespeare's own lines against what beam search and sampling find after the same words."""
    model = wn.load(str(MODELS / "shakespeare_byte2M"))
    text = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    held = text[int(0.95 * len(text)) :]
    depth, head = 64, 96
    starts = choose(Key(3), "starts", [0], len(held) - head - depth, num * len(SEEDS))[0]
    curves: dict[str, list[np.ndarray]] = {"human": [], "beam 8": [], "sampled": []}
    means: dict[str, list[float]] = {name: [] for name in curves}
    for seed in SEEDS:
        here: dict[str, list[np.ndarray]] = {name: [] for name in curves}
        for start in starts[seed * num : (seed + 1) * num].tolist():
            prompt, rest = held[start : start + head], held[start + head : start + head + depth]
            for name, settings in (("beam 8", dict[str, Any](width=8)), ("sampled", dict[str, Any](particles=1))):
                program = "beam" if name == "beam 8" else "smc"
                native = search(model, prompt, program, seed=start, depth=depth, **settings).native
                here[name].append(native.tree.logprob[native.tree.path(int(native.nodes[0]))])
            pieces = tuple(rest[: place + 1] for place in range(len(rest)))
            total = run(ask(LogProb(prompts=(prompt,), continuations=(pieces,))), model).logprob[0]
            here["human"].append(np.diff(np.concatenate([[0.0], total])))
        for name, rows in here.items():
            means[name].append(float(np.mean(np.concatenate(rows))))
            curves[name] += rows
    rows_ = [
        {"text": name, "log-probability a token": str(mean(means[name])), "share of tokens below p = .01":
         f"{np.mean(np.concatenate(curves[name]) < np.log(0.01)):.3f}"}
        for name in curves
    ]  # fmt: skip
    table(f"shakespeare_byte2M, held-out text, {num} places a seed, {depth} bytes", rows_)
    by_place = {
        name: [float(np.mean([np.exp(row[at]) for row in rows if len(row) > at])) for at in range(depth)]
        for name, rows in curves.items()
    }
    out = Path(__file__).parents[1] / "docs" / "figures" / "human_and_beam.svg"
    title = f"Probability the model gives each byte, mean over {num * len(SEEDS)} places"
    draw_curves(out, by_place, title=title, x=f"bytes after the prompt, 0 to {depth - 1}")
    print(f"drawn: {out}")


def _items(name: str) -> list[dict[str, Any]]:
    text = (resources.files("winnow") / "data" / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def main() -> None:
    from benchmarks.search_editing import editing

    parts = {"open": open_ended, "closed": closed, "scored": scored, "power": power, "human": human, "editing": editing}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=parts)
    parser.add_argument("--prompts", type=int, default=4, help="a seed")
    arguments = parser.parse_args()
    parts[arguments.part](arguments.prompts)


if __name__ == "__main__":
    main()
