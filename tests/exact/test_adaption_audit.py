"""The audit: what it estimates is s and f, and how often it stops a loop, at once or later, is what it promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binom, fisher_exact

from benchmarks.audit_power import ANSWERS, LOOPS, Round, ends, ends_on, looks, share_stopped, stopped_at_once
from winnow.adaption.audit import CHANGE, FIRST, Audit, Labels, change, draw_sample, judge
from winnow.values.random import Key


def found(number, right_accepted, num_accepted, right_rejected, num_rejected, rate=0.5):
    accepted = round(ANSWERS * rate)
    return Labels(
        number, right_accepted, num_accepted, right_rejected, num_rejected, accepted, ANSWERS - accepted
    )  # fmt: skip


@pytest.mark.parametrize("error", [0.1, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("labels", [20, 40, 80])
def test_an_evaluator_that_cannot_tell_is_stopped_at_once_at_least_95_times_in_100(error, labels):
    assert stopped_at_once(Round(error, 0.5, 0.5), labels) >= 0.95


@pytest.mark.parametrize(("accepted", "rejected"), [(79, 1), (58, 2), (77, 3), (3, 37)])
def test_that_holds_in_lopsided_strata_too(accepted, rejected):
    for error in (0.1, 0.5):
        assert stopped_at_once(Round(error, 0.5, 0.5), accepted + rejected, accepted) >= 0.95


@pytest.mark.parametrize("labels", [20, 40, 80])
def test_an_inverted_evaluator_is_always_stopped(labels):
    assert stopped_at_once(Round(0.5, 0.2, 0.8), labels) > 1 - 1e-4


def test_a_good_evaluator_is_stopped_by_the_first_40_labels_at_most_5_times_in_100_and_20_labels_are_too_few():
    assert stopped_at_once(Round(0.5, 0.8, 0.2), FIRST) <= 0.05
    assert stopped_at_once(Round(0.5, 0.8, 0.2), 20) > 0.1


def test_the_bound_lies_below_what_it_bounds_95_times_in_100():
    for error, s, f, labels in itertools.product((0.2, 0.5, 0.8), (0.5, 0.8), (0.2, 0.45), (20, 60)):
        chance, bound = looks(Round(error, s, f), labels // 2, labels // 2)
        assert chance[bound <= s - f].sum() >= 0.95, (error, s, f, labels)


def test_one_round_is_fishers_exact_test():
    for a, b in ((8, 3), (5, 5), (10, 0), (2, 9)):
        fisher = fisher_exact([[a, 10 - a], [b, 10 - b]], alternative="greater").pvalue
        verdict = judge([found(0, a, 10, b, 10)])
        assert verdict.p_value == pytest.approx(fisher, abs=1e-9)
        assert verdict.carries == (fisher <= 0.05)


def test_the_estimates_are_s_and_f_when_labels_are_plenty_also_over_rounds_of_different_error():
    s, f, half, rounds = 0.8, 0.25, 5_000, []
    for number, error in enumerate((0.5, 0.2, 0.05)):
        rate = s * (1 - error) + f * error
        yes, no = half * s * (1 - error) / rate, half * (1 - s) * (1 - error) / (1 - rate)
        rounds.append(found(number, round(yes), half, round(no), half, rate))
    verdict = judge(rounds)
    assert verdict.sensitivity == pytest.approx(s, abs=1e-3)
    assert verdict.false_positive_rate == pytest.approx(f, abs=2e-3)
    assert verdict.bound == pytest.approx(s - f, abs=0.03)
    assert verdict.bound < s - f


def test_an_empty_stratum_or_right_answers_alone_show_nothing():
    for nothing in (found(0, 10, 10, 0, 0, 1.0), found(0, 0, 0, 0, 10, 0.0)):
        assert (judge([nothing]).carries, judge([nothing]).sensitivity) == (False, None)
    assert not judge([found(0, 20, 20, 20, 20)]).carries
    assert judge([found(0, 20, 20, 20, 20)]).bound == -1.0


def test_a_change_is_given_its_exact_probability_by_enumeration():
    """Two rounds with the same odds ratio: given all four margins, what the recent one holds is counted out."""
    before, recent, psi = found(0, 3, 4, 1, 3), found(1, 1, 3, 2, 3), 3.7
    chance = {}
    for x, y in itertools.product(range(5), range(4)):
        ways = 1.0
        for seen, one in ((x, before), (y, recent)):
            right = one.right_accepted + one.right_rejected
            if right - seen < 0 or right - seen > one.num_rejected:
                ways = 0.0
                break
            table = binom.pmf(seen, one.num_accepted, 0.5) * binom.pmf(right - seen, one.num_rejected, 0.5)
            ways *= table * psi**seen
        if x + y == 4:
            chance[y] = ways
    expected = sum(value for y, value in chance.items() if y <= 1) / sum(chance.values())
    assert change([before], [recent]) == pytest.approx(expected, rel=1e-9)


RUNS = 400
MARGIN = 2.5 * np.sqrt(0.05 * 0.95 / RUNS)


@pytest.mark.parametrize("labels", [20, 60, 120])
def test_over_a_whole_run_a_useless_evaluator_is_stopped_and_an_inverted_one_at_the_start(labels):
    assert share_stopped(ends(LOOPS["useless, s = f = .5"], labels, num_runs=RUNS)) >= 0.95 - MARGIN
    assert share_stopped(ends(LOOPS["inverted, .2 / .8"], labels, num_runs=RUNS), by=0) == 1.0


@pytest.mark.parametrize("labels", [60, 120, 240])
def test_over_a_whole_run_a_good_evaluator_is_stopped_at_most_5_times_in_100(labels):
    for loop in (LOOPS["good, .84 / .2"], [Round(0.5, 0.8, 0.2)] * 7):
        found = ends(loop, labels, num_runs=RUNS)
        assert share_stopped(found) <= 0.05
        assert share_stopped(found, since=1) <= CHANGE  # all but nothing of it comes after the start


def test_an_evaluator_that_turns_is_stopped_in_that_round_or_the_next_when_labels_suffice():
    turned = [*[Round(0.3, 0.84, 0.2)] * 3, Round(0.3, 0.2, 0.84), *[Round(0.5, 0.2, 0.84)] * 3]
    assert share_stopped(ends(turned, 200, num_runs=RUNS), since=3, by=4) >= 0.95
    assert share_stopped(ends(turned, 80, num_runs=RUNS), since=3, by=6) >= 0.9
    # what pooling alone would do: half of all labels lie at the start, and it would not see it in time
    pooled = (
        [found(0, 40, 50, 10, 50)] + [found(n, 6, 8, 2, 8) for n in (1, 2)] + [found(n, 2, 8, 7, 8) for n in (3, 4)]
    )
    assert judge(pooled).carries


def test_labels_drawn_from_rounds_that_were_run_say_what_the_rounds_are():
    good = {"accepted": 200, "right_accepted": 180, "rejected": 200, "right_rejected": 40}
    bad = {"accepted": 200, "right_accepted": 40, "rejected": 200, "right_rejected": 180}
    assert share_stopped(ends_on([good] * 4, 100, num_runs=50)) <= 0.05
    assert set(ends_on([bad] * 4, 100, num_runs=50)) == {0}
    assert share_stopped(ends_on([good, good, bad, bad], 200, num_runs=50), since=2, by=3) >= 0.95
    nobody = {"accepted": 0, "right_accepted": 0, "rejected": 400, "right_rejected": 200}
    assert set(ends_on([nobody] * 2, 40, num_runs=5)) == {0}


def test_labels_are_never_more_than_asked_for_and_those_of_a_few_go_to_the_start():
    for labels, rounds in itertools.product((2, 20, 41, 60, 81, 500), (1, 4, 6, 30)):
        allowance = Audit(labels, rounds).allowance
        assert len(allowance) == rounds + 1
        assert labels - 2 <= sum(allowance) + (allowance[0] % 2) <= labels + 1
        assert sum(allowance) <= labels
        assert allowance[0] == (labels if labels <= FIRST else max(labels // 2, FIRST))


def test_the_sample_is_half_and_half_and_fills_up_from_the_other_side():
    accepted, rejected = np.arange(0, 50), np.arange(50, 53)
    yes, no = draw_sample(accepted, rejected, 20, Key(0))
    assert (yes.size, no.size) == (17, 3)
    assert set(yes) <= set(accepted)
    assert len(set(yes)) == 17
