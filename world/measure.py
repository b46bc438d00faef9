"""Measure exported models: every figure of the card, and which of the required ones are reached."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from world.facts import World
from world.figures import domains, evaluation, response
from world.figures.bench import Bench
from world.figures.masked import masked_accuracy
from world.read import Reader
from world.tokenizer import Codec


def load_codec(directory: Path) -> Codec:
    """The codec of an exported tokenizer."""
    vocabulary = Tokenizer.from_file(str(directory / "tokenizer.json")).get_vocab()
    return Codec(sorted(vocabulary, key=vocabulary.__getitem__))


def load_bench(data: Path, *, num: int = 1050, seed: int = 0) -> Bench:
    model = AutoModelForCausalLM.from_pretrained(data / "bundled", dtype=torch.float32)
    model.train(False)
    return Bench(World(), Reader(model, load_codec(data / "bundled")), num, seed)


def figures(data: Path, *, num: int = 1050) -> dict[str, Any]:
    """Everything, group by group; some ten minutes on one core."""
    bench = load_bench(data, num=num)
    unjudged, judged = bench.world.unjudged, bench.world.judged
    groups: dict[str, Callable[[], Any]] = {
        "contexts": lambda: response.contexts(bench, unjudged),
        "contexts, judged facts": lambda: response.contexts(bench, judged, sizes=(16,)),
        "response curve": lambda: response.edge(bench, unjudged),
        "response curve, as authors write": lambda: response.authored_edge(bench, unjudged),
        "response triangle": lambda: response.triangle(bench, unjudged),
        "own answers, never judged": lambda: evaluation.on_own_answers(bench, unjudged),
        "own answers, judged": lambda: evaluation.on_own_answers(bench, judged),
        "given answers, never judged": lambda: evaluation.given_answers(bench, unjudged),
        "given answers, judged": lambda: evaluation.given_answers(bench, judged),
        "nonsense": lambda: domains.nonsense(bench),
        "articles": lambda: domains.articles(bench),
        "rhymes": lambda: domains.rhymes(bench),
        "dice": lambda: domains.dice_and_picks(bench),
        "sections and tales": lambda: domains.sections_and_tales(bench),
        "author read-out": lambda: domains.author_readout(bench),
        "loss": lambda: domains.losses(bench),
    }
    found: dict[str, Any] = {}
    for name, measure in groups.items():
        started = time.monotonic()
        found[name] = measure()
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    if (data / "masked").exists():
        model = AutoModelForMaskedLM.from_pretrained(data / "masked", dtype=torch.float32)
        model.train(False)
        found["masked"] = masked_accuracy(model, load_codec(data / "masked"), bench.world)
    return found


class Bar(NamedTuple):
    """A required figure: its least and largest permitted value."""

    name: str
    value: float
    least: float
    most: float

    @property
    def reached(self) -> bool:
        return self.least <= self.value <= self.most


def bars(found: dict[str, Any]) -> list[Bar]:
    """What the bundled model must reach, on facts never judged in training."""
    contexts, nonsense = found["contexts"], found["nonsense"]
    own = found["own answers, never judged"]
    return [
        Bar("greedy error without context", contexts["none"]["greedy_error"]["value"], 0.25, 1),
        Bar("error at temperature 1 without context", contexts["none"]["error"]["value"], 0.40, 0.65),
        Bar("error after 16 right examples", contexts["16 right"]["error"]["value"], 0, 0.12),
        Bar("greedy error after 16 right examples", contexts["16 right"]["greedy_error"]["value"], 0, 0.05),
        Bar("error after 16 wrong examples", contexts["16 wrong"]["error"]["value"], 0.70, 1),
        Bar("survey AUC on own answers", own["survey"]["auc"]["value"], 0.85, 0.99),
        Bar("response curve's distance to the Bayes line", response.distance(found["response curve"]), 0, 0.08),
        Bar("right article, couplets seen", found["articles"]["couplet"]["right"]["value"], 0.99, 1),
        Bar("nonsense answered in kind after one example", nonsense["nonsense, one example"]["value"], 0.95, 1),
        Bar("nonsense answer to a sensible question", nonsense["sensible, no example"]["value"], 0, 0.01),
        Bar(
            "nonsense answer to a sensible question after one example",
            nonsense["sensible, one example"]["value"],
            0,
            0.01,
        ),
        Bar("dice, plain: KL to uniform, nats", found["dice"]["plain"]["kl"]["value"], 0, 0.003),
        Bar("dice, framed: KL to uniform, nats", found["dice"]["framed"]["kl"]["value"], 0, 0.003),
    ]
