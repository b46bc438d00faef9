"""The line that planning in the bundled world is held against: Bayes' rule over the generator of its couplets."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from verification.lookahead_planning import bayes_readings, things_after
from winnow.lookahead.articles import account
from winnow.values.random import Key
from world import words
from world.couplets import colour_couplets


def test_the_things_after_a_first_line_are_those_that_the_generator_writes():
    rng = random.Random(0)
    counts = {colour: dict.fromkeys(words.EVERYDAY_COLOURS, 0) for colour in words.COLOUR_RHYMES}
    noun_of = {noun: colour for colour, (noun, _) in words.COLOUR_RHYMES.items()}
    for _ in range(20_000):
        lines = colour_couplets(rng).text.split("\n")
        for first, second in pairwise(lines):
            if first.startswith("I went to my "):
                noun = first.removeprefix("I went to my ").rstrip(",")
                counts[noun_of[noun]][second.split()[2]] += 1
    for colour, seen in counts.items():
        total = sum(seen.values())
        for thing, p in things_after(colour).items():
            assert abs(seen[thing] / total - p) <= 4.5 * np.sqrt(p * (1 - p) / total) + 1e-12, (colour, thing)


def test_a_calibrated_reader_plans_in_part():
    found = account(bayes_readings(), key=Key(0), draws=200)
    assert found.planning is not None
    assert 0.1 < found.planning.value < 0.6
    assert found.grammar.value == pytest.approx(0)
    assert found.right.value == 1
