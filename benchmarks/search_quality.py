"""What each search finds at equal cost, beside best-of-n: five seeds, intervals, losers too.

    python -m benchmarks.search_quality --json build/quality.jsonl [PART ...]

    open      stories, tales: log-probability and repetition
    closed    facts, rhymes, couplets' articles: right answers, short targets
    scored    tales and stories scored by a function: what selection on a score finds
    power     power SMC against low temperature
    human     probability of human text against what beam search finds
    editing   a late word that constrains an early one

Cost is forward tokens; ``benchmarks.lockstep`` says how they are counted. Each seed takes prompts of its own. With
``--json`` a method that is in the file, for the same weights, prompts and settings, is not computed again.
"""

from __future__ import annotations

import argparse
import json
import re
import zlib
from collections.abc import Callable
from functools import partial
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import winnow as wn
from benchmarks.curves import draw_curves
from benchmarks.lockstep import SEEDS, Contest, Contestant, Kept, compete, mean, part, table, together
from winnow.evaluators.verifier import Verifier
from winnow.ports.program import ask, run
from winnow.ports.requests import LogProb, Router
from winnow.search.call import prepare
from winnow.search.result import Result
from winnow.values.random import Key, choose

MODELS = Path(__file__).parents[1] / ".." / "shared" / "models"
DATA = Path(__file__).parents[1] / ".." / "shared" / "data"
CHILDREN = ("Lily", "Tom", "Mia", "Ben", "Sam", "Anna", "Max", "Lucy", "Tim", "Sue")
FORMS = ("Once upon a time, {} had a", "One day, {} went to the", "{} and the dog were", "{} saw a big", "{} was very")
OPENINGS = [form.format(name) for form in FORMS for name in CHILDREN]
GLAD = frozenset(["laughed", "danced", "sang", "smiled", "cheered", "whistled"])
SAD = frozenset(["wept", "sighed", "frowned", "mourned", "grumbled", "shivered"])
WANTED = ("dog", "ball", "happy", "park")
PEOPLE = ("Mira", "Tom", "Ada", "Ben", "Ivy", "Otto", "Nora", "Max", "Ella", "Finn", "Ruth", "Leo")
TALES = [f"Once there was {name} who {deed} and" for name in PEOPLE for deed in sorted(GLAD | SAD)]


def even(query: str, answer: str) -> float:
    """Scores nothing: best-of-n by log-probability picks among what was sampled."""
    return 0.5


EVEN = Verifier("even", even, identity="even")


def by_logprob(result: Result) -> np.ndarray:
    return result.logprob


def sampled(num: int, depth: int, temperature: float = 1.0) -> Contestant:
    """Best of n by the model's own log-probability."""
    return Contestant("best-of-n", {"num": num, "depth": depth, "temperature": temperature}, by_logprob)


def contestants(width: int, depth: int) -> dict[str, Contestant]:
    """Searches of about ``width * depth`` forward tokens each."""
    looks = {"simulations": width + 3, "batch": 4, "width": width, "depth": depth, "value": "likelihood"}
    cloud = {"particles": width, "depth": depth, "power": 4.0}
    beam = {"width": width, "depth": depth}
    return {
        "greedy": Contestant("beam", {"width": 1, "depth": depth}),
        f"sample 1 (cost 1/{width})": sampled(1, depth),
        f"best of {width}": sampled(width, depth),
        f"best of {2 * width}": sampled(2 * width, depth),
        f"best of {width}, temperature .5": sampled(width, depth, 0.5),
        f"beam {width}": Contestant("beam", beam),
        f"beam {width}, mean length": Contestant("beam", {**beam, "length_exponent": 1.0}),
        f"diverse beam {width} in 4": Contestant("beam", {**beam, "groups": 4, "diversity": 1.0}),
        f"smc {width}, power 4": Contestant("smc", cloud, by_logprob),
        f"smc {width}, power 4, temperature .25": Contestant("smc", {**cloud, "temperature": 0.25}, by_logprob),
        f"mcts {width + 3}, likelihood": Contestant("mcts", looks),
    }


def distinct(text: str, size: int) -> float:
    """Different runs of ``size`` words among all of them: 1 where nothing is repeated."""
    words = text.split()
    runs = [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]
    return len(set(runs)) / len(runs) if runs else 1.0


def compression(text: str) -> float:
    """Compressed length over length: the smaller the more repetitive."""
    raw = text.encode()
    return len(zlib.compress(raw, 9)) / max(1, len(raw))


LOGPROB = {
    "log-probability": lambda found, prompt: found.logprob[found.best],
    "a token": lambda found, prompt: found.logprob[found.best] / found.num_tokens[found.best],
}
FORM = {
    "distinct-1": lambda found, prompt: distinct(found.text, 1),
    "distinct-2": lambda found, prompt: distinct(found.text, 2),
    "compression": lambda found, prompt: compression(found.text),
}


def open_ended(num: int, kept: Kept) -> None:
    """Stories and tales: how probable, how repetitive."""
    stories, bundled = wn.load(str(MODELS / "stories260K")), wn.load("bundled")
    measures = {**LOGPROB, **FORM}
    for depth, each in ((16, num), (96, min(num, 4))):
        title = f"stories260K, {depth} tokens"
        ask_for = partial(part, OPENINGS, num=each)
        compete(Contest(title, stories, ask_for, measures, EVEN), contestants(8, depth), "best of 8", kept)
    title, asked = "bundled, tales, at most 30 tokens", partial(part, TALES, num=num)
    compete(Contest(title, bundled, asked, measures, EVEN), contestants(8, 30), "best of 8", kept)


def closed(num: int, kept: Kept) -> None:
    """Facts, rhymes and articles: the share of right answers of the preferred text."""
    model, rhymes, articles = wn.load("bundled"), _items("rhymes.jsonl"), _items("articles.jsonl")
    right = {row["prompt"]: row["answer"].strip() for row in rhymes}
    facts = {f"Q: {row['query']}\nA:": row["answer"] for row in _items("facts.jsonl")}
    nouns = {row["prompt"]: f"{row['article']}{row['noun']}".strip() for row in articles}
    right |= facts | nouns

    def correct(found: Result, prompt: str) -> float:
        return float(found.text.strip().rstrip(".") == right[prompt])

    tasks = {"couplets": list(nouns), "rhymes": [row["prompt"] for row in rhymes], "facts": list(facts)}
    for title, prompts in tasks.items():
        asked = partial(part, prompts, num=num)
        title = f"bundled, {title}, at most 6 tokens"
        compete(Contest(title, model, asked, {"right": correct, **LOGPROB}, EVEN), contestants(8, 6), "best of 8", kept)


def alternating(query: str, answer: str) -> float:
    """The share of a tale's second to fourth deed whose mood is not that of the deed before; mostly the model keeps one."""
    moods = [word in GLAD for word in re.findall(r"\w+", query + answer) if word in GLAD | SAD][:4]
    return sum(one != other for one, other in pairwise(moods)) / 3


def mentions(query: str, answer: str) -> float:
    """The share of four things that a story mentions."""
    return sum(re.search(rf"\b{word}", answer) is not None for word in WANTED) / len(WANTED)


def scored(num: int, kept: Kept) -> None:
    """What selection on a score finds: tales that should alternate in mood, stories that should mention four things."""
    stories = wn.load(str(MODELS / "stories260K"))
    for title, model, prompts, score, depth, each in (
        ("bundled, tales scored by how their moods alternate", wn.load("bundled"), TALES, alternating, 30, num),
        ("stories260K, scored by what they mention", stories, OPENINGS, mentions, 40, min(num, 4)),
    ):
        judge = Verifier(score.__name__, score, identity=score.__name__)
        measures: dict[str, Any] = {"score": _Score(score), **LOGPROB}
        contest = Contest(title, model, partial(part, prompts, num=each), measures, judge)
        compete(contest, _scorers(depth, score), "best of 8", kept)


class _Score(NamedTuple):
    """What a function says of the preferred text."""

    score: Callable[[str, str], float]

    def __call__(self, found: Result, prompt: str) -> float:
        return self.score(prompt, found.text)


def _scorers(depth: int, score: Callable[[str, str], float]) -> dict[str, Contestant]:
    def pick(result: Result) -> np.ndarray:
        assert result.problem is not None
        return np.array([score(result.problem.query, text) for text in result.texts])

    def with_score(name: str, **settings: Any) -> Contestant:
        return Contestant(name, {"depth": depth, **settings}, pick)

    reward = {"particles": 8, "inverse_temperature": 8.0}
    return {
        "sample 1 (cost 1/8)": sampled(1, depth),
        "best of 8": with_score("best-of-n", num=8),
        "best of 8, temperature .5": with_score("best-of-n", num=8, temperature=0.5),
        "best of 24 (for the dearer ones)": with_score("best-of-n", num=24),
        "best of 24, temperature .5": with_score("best-of-n", num=24, temperature=0.5),
        "best of 56 (for mcts 64)": with_score("best-of-n", num=56),
        "best of 56, temperature .5": with_score("best-of-n", num=56, temperature=0.5),
        "beam 8, then the best": with_score("beam", width=8),
        "smc 8, score at the end": with_score("smc", **reward),
        "smc 8, score at the end and twist": with_score("smc", **reward, twist=True),
        "smc 8, score at every step": with_score("smc", particles=8, inverse_temperature=1.0, potential="steps"),
        "mcts 13, score of what is written": with_score("mcts", simulations=13, batch=4, width=16, value="evaluator"),
        "mcts 64, the same (more cost)": with_score("mcts", simulations=64, batch=8, width=16, value="evaluator"),
        "mcts 2, rollouts": with_score("mcts", simulations=2, batch=2, width=8, value="rollout"),
    }


def power(num: int, kept: Kept) -> None:
    """The particles' mean log-probability and variety: SMC for p^4 against sampling at temperature 1/4 and others."""
    model, depth, size = wn.load(str(MODELS / "stories260K")), 32, 32

    def weighted(found: Result, prompt: str) -> float:
        weight = np.exp(found.log_weight - found.log_weight.max())
        return float(weight @ found.logprob / weight.sum())

    def variety(found: Result, prompt: str) -> float:
        return len(set(found.texts)) / len(found.texts)

    methods = {f"temperature {t}": sampled(size, depth, t) for t in (1.0, 0.5, 0.25)}
    for alpha in (2.0, 4.0):
        cloud = {"particles": size, "depth": depth, "power": alpha}
        methods |= {
            f"smc power {alpha:g}, proposal 1": Contestant("smc", cloud),
            f"smc power {alpha:g}, proposal 1/{alpha:g}": Contestant("smc", {**cloud, "temperature": 1 / alpha}),
        }
    measures = {
        "mean log-probability": weighted,
        "best": lambda found, prompt: float(found.logprob.max()),
        "distinct texts": variety,
    }
    title = f"stories260K, {size} texts of {depth} tokens"
    compete(Contest(title, model, partial(part, OPENINGS, num=num), measures, EVEN), methods, "temperature 0.25", kept)


def human(num: int, kept: Kept) -> None:
    """Shakespeare's own lines against what beam search and sampling find after the same words."""
    model = wn.load(str(MODELS / "shakespeare_byte2M"))
    text = (DATA / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    held = text[int(0.95 * len(text)) :]
    depth, head = 64, 96
    starts = choose(Key(3), "starts", [0], len(held) - head - depth, num * len(SEEDS))[0].tolist()
    prompts = [held[start : start + head] for start in starts]

    def of_search(program: str, settings: dict[str, Any]) -> list[list[float]]:
        ready = [
            prepare(model, prompt, program, key=Key(start).child("search"), depth=depth, **settings)
            for start, prompt in zip(starts, prompts, strict=True)
        ]
        found = [native for native, _ in together([one.program for one in ready], Router(model))]
        return [one.tree.logprob[one.tree.path(int(one.nodes[one.best]))].tolist() for one in found]

    def of_text() -> list[list[float]]:
        rests = [held[start + head : start + head + depth] for start in starts]
        pieces = tuple(tuple(rest[: place + 1] for place in range(len(rest))) for rest in rests)
        total = run(ask(LogProb(prompts=tuple(prompts), continuations=pieces)), model).logprob
        return [np.diff(np.concatenate([[0.0], row])).tolist() for row in total]

    computed = {
        "human": of_text,
        "beam 8": lambda: of_search("beam", {"width": 8}),
        "sampled": lambda: of_search("smc", {"particles": 1}),
    }
    about = {"contest": "human", "model": model.identity, "starts": starts}
    curves = {
        name: kept.row({**about, "method": name}, lambda one=one: {"rows": one()})["rows"]  # type: ignore[misc]
        for name, one in computed.items()
    }
    rows = []
    for name, all_ in curves.items():
        flat = np.concatenate([np.array(row) for row in all_])
        seeds = [float(np.mean(np.concatenate(all_[seed * num : (seed + 1) * num]))) for seed in SEEDS]
        rows.append(
            {
                "text": name,
                "log-probability a byte": str(mean(seeds)),
                "share of bytes below p = .01": f"{np.mean(flat < np.log(0.01)):.3f}",
            }
        )
    table(f"shakespeare_byte2M, held-out text, {num} places a seed, {depth} bytes", rows)
    by_place = {
        name: [float(np.mean([np.exp(row[at]) for row in all_ if len(row) > at])) for at in range(depth)]
        for name, all_ in curves.items()
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
    each = {"open": 10, "closed": 40, "scored": 10, "power": 10, "human": 8, "editing": 20}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", choices=[*parts, []], help="all unless given")
    parser.add_argument("--prompts", type=int, help=f"a seed; as they are: {each}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep a line for each method here")
    arguments = parser.parse_args()
    kept = Kept(arguments.json)
    for name in arguments.part or parts:
        print(f"## {name}", flush=True)
        parts[name](arguments.prompts or each[name], kept)


if __name__ == "__main__":
    main()
