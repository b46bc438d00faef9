"""What a reader who knows how the bundled world's couplets are written would choose: the line to hold planning against.

    python -m verification.lookahead_planning [--json]

For colour couplets the generator (``world.couplets``) draws a thing evenly, then its everyday colour with probability .3
and otherwise any colour it may meet, and the first line ends in a noun that rhymes with it. So the probability of each
thing after a first line follows by Bayes' rule, and its planning slope is what a calibrated model must show: neither 0
nor 1. Articles follow their nouns always: there the slope is 1.
"""

from __future__ import annotations

import argparse

import numpy as np

from winnow.lookahead.articles import Reading, account
from winnow.lookahead.situations import world
from winnow.values.logspace import FloatArray
from winnow.values.random import Key
from winnow.values.records import to_json
from world import words
from world.couplets import is_held_colour

EVERYDAY = 0.3  # share of couplets that keep the everyday colour, in world.couplets.colour_couplets


def things_after(colour: str) -> dict[str, float]:
    """P(thing | the first line's noun rhymes with this colour), exactly."""
    joint = {}
    for thing, everyday in words.EVERYDAY_COLOURS.items():
        free = [one for one in words.COLOUR_RHYMES if not is_held_colour(thing, one)]
        joint[thing] = EVERYDAY * (colour == everyday) + (1 - EVERYDAY) * (colour in free) / len(free)
    total = sum(joint.values())
    return {thing: value / total for thing, value in joint.items()}


def bayes_readings() -> list[Reading]:
    """The situations of the colour couplets as that reader would read them; no line's ending gives way to a thing."""
    readings = []
    for situation in world("rhymes"):
        colour = str(situation.ending).strip()
        likely = things_after(colour)
        size = len(situation.classes)
        chosen: FloatArray = np.zeros(size)
        for opening in situation.openings:
            chosen[situation.class_of(opening)] += likely[opening.split()[0]]
        demanded = np.eye(size)[[situation.demanded or 0]]
        forced = np.repeat(demanded, size, axis=0)
        readings.append(Reading(situation, chosen, forced, demanded, np.zeros((0, size)), 1.0, 1.0))
    return readings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = account(bayes_readings(), group="rhymes, a reader who knows", key=Key(0))
    assert found.planning is not None
    if arguments.json:
        print(to_json({"planning": found.planning._asdict(), "right": found.right._asdict(), "num": found.num}))
    else:
        print(
            f"planning P {found.planning.value:.3f}, right thing the most probable {found.right.value:.2f}, n = {found.num}"
        )


if __name__ == "__main__":
    main()
