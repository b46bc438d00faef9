"""How often an audit stops a loop: over s - f and the number of labels, over whole runs, and on rounds that were run.

    python -m benchmarks.audit_power

What can be summed is summed; whole runs, in which every look depends on those before, are simulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binom

from winnow.adaption.audit import Audit, Labels, judge
from winnow.values.logspace import FloatArray
from winnow.values.records import to_json

ANSWERS = 10_000  # of a round that is only thought of
FALLING = (0.5, 0.25, 0.15, 0.12, 0.1, 0.1, 0.1)  # errors of a loop that works
RISING = (0.5, 0.55, 0.6, 0.62, 0.64, 0.66, 0.68)  # and of one that does not


class Round(NamedTuple):
    """What an audit meets in a round: how many answers are wrong, and who is accepted."""

    error: float
    s: float
    f: float


LOOPS: Mapping[str, Sequence[Round]] = {
    "useless, s = f = .5": [Round(error, 0.5, 0.5) for error in RISING],
    "inverted, .2 / .8": [Round(error, 0.2, 0.8) for error in RISING],
    "good, .84 / .2": [Round(error, 0.84, 0.2) for error in FALLING],
    "good, .75 / .25": [Round(error, 0.75, 0.25) for error in FALLING],
    "good, then inverted in round 3": [
        *(Round(error, 0.84, 0.2) for error in FALLING[:3]),
        *(Round(error, 0.2, 0.84) for error in (0.12, 0.35, 0.6, 0.65)),
    ],
    "good, then useless in round 3": [
        *(Round(error, 0.84, 0.2) for error in FALLING[:3]),
        *(Round(error, 0.5, 0.5) for error in (0.12, 0.2, 0.3, 0.4)),
    ],
}


def looks(one: Round, num_accepted: int, num_rejected: int) -> tuple[FloatArray, FloatArray]:
    """Every outcome of one look: its probability ``[A, R]`` and the bound of s - f it leads to ``[A, R]``."""
    rate = one.s * (1 - one.error) + one.f * one.error
    yes = binom.pmf(np.arange(num_accepted + 1), num_accepted, one.s * (1 - one.error) / rate)
    no = binom.pmf(np.arange(num_rejected + 1), num_rejected, (1 - one.s) * (1 - one.error) / (1 - rate))
    accepted = round(ANSWERS * rate)
    bound = [
        [
            judge([Labels(0, a, num_accepted, b, num_rejected, accepted, ANSWERS - accepted)]).bound
            for b in range(no.size)
        ]
        for a in range(yes.size)
    ]
    return np.outer(yes, no), np.array(bound)


def stopped_at_once(one: Round, num_labels: int, num_accepted: int | None = None) -> float:
    """Probability that a look at these labels, half on either side unless told otherwise, stops the loop: exact."""
    accepted = num_labels // 2 if num_accepted is None else num_accepted
    chance, bound = looks(one, accepted, num_labels - accepted)
    return float(chance[bound <= 0].sum())


def ends(loop: Sequence[Round], num_labels: int, *, num_runs: int, seed: int = 0) -> list[int | None]:
    """The round in which each of ``num_runs`` simulated loops is stopped; None for one that never is."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(num_runs):
        audit, end = Audit(num_labels, len(loop) - 1), None
        for number, one in enumerate(loop):
            rate, half = one.s * (1 - one.error) + one.f * one.error, audit.allowance[number] // 2
            yes = int(rng.binomial(half, one.s * (1 - one.error) / rate))
            no = int(rng.binomial(half, (1 - one.s) * (1 - one.error) / (1 - rate)))
            accepted = round(ANSWERS * rate)
            if not audit.look(Labels(number, yes, half, no, half, accepted, ANSWERS - accepted)).carries:
                end = number
                break
        found.append(end)
    return found


def share_stopped(found: Sequence[int | None], *, since: int = 0, by: int | None = None) -> float:
    """Of the runs that came as far as round ``since``: the share stopped in it or later, by round ``by`` at the latest."""
    came = [end for end in found if end is None or end >= since]
    return float(np.mean([end is not None and (by is None or end <= by) for end in came]))


def ends_on(rounds: Sequence[Mapping[str, int]], num_labels: int, *, num_runs: int) -> list[int | None]:
    """As ``ends``, on rounds that were run: labels drawn again and again from the answers of each.

    An audit picks nothing, so the rounds of a run without one are those of the run with one, as far as it goes.
    """
    rng, found = np.random.default_rng(0), []
    for _ in range(num_runs):
        audit, end = Audit(num_labels, len(rounds) - 1), None
        for number, one in enumerate(rounds):
            allowed, accepted, rejected = audit.allowance[number], one["accepted"], one["rejected"]
            yes = min(allowed // 2, accepted)
            no = min(allowed - yes, rejected)
            right = [
                int(rng.hypergeometric(one[f"right_{side}"], one[side] - one[f"right_{side}"], size)) if size else 0
                for side, size in (("accepted", yes), ("rejected", no))
            ]
            if not audit.look(Labels(number, right[0], yes, right[1], no, accepted, rejected)).carries:
                end = number
                break
        found.append(end)
    return found


def rows(num_runs: int = 400) -> Iterator[dict[str, Any]]:
    """The power curve."""
    for gap in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        share = {
            f"N {labels}": round(
                stopped_at_once(Round(0.5, 0.5 + gap / 2, 0.5 - gap / 2), Audit(labels, 6).allowance[0]), 3
            )
            for labels in (20, 40, 80, 160)
        }
        yield {
            "row": f"audit: stopped at the start, s - f = {gap:.1f}",
            "holds": gap > 0 or min(share.values()) >= 0.95,
            **share,
        }
    for name, loop in LOOPS.items():
        turn = 3 if "round 3" in name else 0
        for labels in (20, 40, 60, 100, 200, 400):
            found = ends(loop, labels, num_runs=num_runs)
            total = share_stopped(found, since=turn)
            row: dict[str, Any] = {"row": f"audit over six rounds: {name}, N = {labels}", "stopped": round(total, 3)}
            if turn:
                row["by the round after"] = round(share_stopped(found, since=turn, by=turn + 1), 3)
            else:
                row["at the start"] = round(share_stopped(found, by=0), 3)
            wanted = {
                "useless, s = f = .5": total >= 0.95 - 2.5 * np.sqrt(0.05 * 0.95 / num_runs),
                "inverted, .2 / .8": total == 1.0,
                "good, .84 / .2": total <= 0.05 or labels < 40,
                "good, then inverted in round 3": labels < 200 or row.get("by the round after", 0.0) >= 0.95,
            }
            yield {**row, "n": num_runs, "holds": bool(wanted.get(name, True))}


if __name__ == "__main__":
    for one_row in rows():
        print(to_json(one_row), flush=True)
