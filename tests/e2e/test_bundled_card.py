"""The card's figures come out again from the shipped weights.

Each is measured anew on 200 questions of its own and must lie within the card's interval widened by its own error:
four standard errors of the difference, so that a hundred figures pass together.
"""

import json

import pytest
from torch import set_num_threads

from world import words
from world.export import DATA, hashes
from world.figures import domains, evaluation, response
from world.measure import load_bench

NUM = 200
Z = 1.96


@pytest.fixture(scope="module")
def card():
    return json.loads((DATA / "card.json").read_text())


@pytest.fixture(scope="module")
def bench():
    set_num_threads(1)
    return load_bench(DATA, num=NUM, seed=1)


def agree(mine, cards):
    """Two estimates `{value, low, high, n}` differ by less than four standard errors of their difference.

    A small sample may miss the few facts that make up most of the spread: where the card's spread is the
    larger one it counts, at the small sample's n.
    """
    own, other = ((estimate["high"] - estimate["low"]) / (2 * Z) for estimate in (mine, cards))
    own = max(own, other * (cards["n"] / mine["n"]) ** 0.5)
    return abs(mine["value"] - cards["value"]) <= 4 * (own**2 + other**2) ** 0.5 + 1e-4


def assert_agree(mine, cards, path=""):
    """Every estimate in a tree of figures."""
    if isinstance(mine, dict) and "value" in mine:
        assert agree(mine, cards), f"{path}: {mine} against the card's {cards}"
    elif isinstance(mine, dict):
        for key, part in mine.items():
            if key != "bins":
                assert_agree(part, cards[key], f"{path}/{key}")


def test_the_card_is_of_these_weights(card):
    assert card["sha256"] == hashes(DATA)


@pytest.mark.parametrize("composition", [(0, 0, 0), (16, 0, 0), (0, 16, 0), (4, 4, 0)])
def test_error_by_context(card, bench, composition):
    right, wrong, _ = composition
    name = {(0, 0): "none", (16, 0): "16 right", (0, 16): "16 wrong", (4, 4): "8 half"}[right, wrong]
    mine = response.errors(response.after(bench, bench.world.unjudged, composition))
    assert_agree(mine, card["figures"]["contexts"][name], name)


def test_headers(card, bench):
    facts = bench.queries(bench.rng("headers"), bench.world.unjudged)
    for kind, text in words.HEADERS.items():
        mine = response.errors(bench.ask(facts, [text] * NUM))
        assert_agree(mine, card["figures"]["contexts"][f"header {kind}"], kind)


def test_evaluation_of_own_answers(card, bench):
    assert_agree(
        evaluation.on_own_answers(bench, bench.world.unjudged), card["figures"]["own answers, never judged"], "own"
    )


@pytest.mark.parametrize(
    ("figure", "measure"),
    [
        ("nonsense", domains.nonsense),
        ("articles", domains.articles),
        ("rhymes", domains.rhymes),
        ("dice", domains.dice_and_picks),
        ("sections and tales", domains.sections_and_tales),
        ("author read-out", domains.author_readout),
    ],
)
def test_domains(card, bench, figure, measure):
    assert_agree(measure(bench), card["figures"][figure], figure)
