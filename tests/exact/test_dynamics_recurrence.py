"""The recurrence against its closed form and against the numbers of docs: mathematics, section 1."""

import numpy as np
import pytest

from winnow.dynamics.fixed_points import fixed_points
from winnow.dynamics.recurrence import (
    ABSTENTION,
    RIGHT,
    WRONG,
    accepted_share,
    error_falls,
    free_running,
    one_step,
    select,
    selected_error,
    selected_error_after,
)


def imitator(composition):
    return composition


@pytest.mark.parametrize(
    ("error", "sensitivity", "false_positive_rate", "expected", "falls"),
    [(0.2, 0.3, 0.1, 0.077, True), (0.1, 0.55, 0.9, 0.154, False)],
)
def test_error_falls_exactly_when_s_exceeds_f_whatever_the_accuracy(
    error, sensitivity, false_positive_rate, expected, falls
):
    after = selected_error(error, sensitivity, false_positive_rate)
    assert after == pytest.approx(expected, abs=5e-4)
    assert (after < error) == falls == error_falls(sensitivity, false_positive_rate)
    accuracy = (1 - error) * sensitivity + error * (1 - false_positive_rate)
    assert (accuracy < 0.5) == falls  # .42 for the one that falls, .505 for the other: accuracy misleads


def test_n_rounds_of_a_replaced_buffer_multiply_the_odds_by_f_over_s():
    error = 0.456
    for num_rounds in range(9):
        assert error == pytest.approx(selected_error_after(0.456, 0.7, 0.3, num_rounds), rel=1e-12)
        error = selected_error(error, 0.7, 0.3)


def test_replaced_reaches_001_and_appended_100_in_eight_rounds():
    run = {"acceptance": [0.7, 0.3], "response": imitator, "num_rounds": 8}
    start = [1 - 0.456, 0.456]
    replaced = free_running(start, **run)[:, WRONG]
    assert replaced[-1] == pytest.approx(0.001, abs=5e-4)
    np.testing.assert_allclose(replaced, [selected_error_after(0.456, 0.7, 0.3, n) for n in range(9)], rtol=1e-12)
    appended = free_running(start, **run, buffer="appended", accepted=np.ones(8))[:, WRONG]
    assert appended[-1] == pytest.approx(0.100, abs=5e-4)


def test_an_appended_buffer_weighs_rounds_by_what_they_accept():
    # by hand: round 0 accepts .5·.8 + .5·.2 = .5 a query at error .2; round 1 accepts .8·.8 + .2·.2 = .68 at 1/17
    path = free_running([0.5, 0.5], [0.8, 0.2], imitator, num_rounds=2, buffer="appended")[:, WRONG]
    np.testing.assert_allclose(path, [0.5, 0.2, (0.5 * 0.2 + 0.68 * (0.04 / 0.68)) / 1.18], rtol=1e-14)
    equal = free_running([0.5, 0.5], [0.8, 0.2], imitator, num_rounds=2, buffer="appended", accepted=[7, 7])[:, WRONG]
    np.testing.assert_allclose(equal[-1], (0.2 + 0.04 / 0.68) / 2, rtol=1e-14)
    assert path[-1] < equal[-1]  # the later, better round accepts more


def test_three_kinds_are_selected_in_proportion_to_their_acceptance():
    after = select([0.5, 0.3, 0.2], [0.8, 0.2, 0.5])
    np.testing.assert_allclose(after, np.array([0.40, 0.06, 0.10]) / 0.56, rtol=1e-14)
    assert accepted_share([0.5, 0.3, 0.2], [0.8, 0.2, 0.5]) == pytest.approx(0.56, rel=1e-14)
    # without abstentions it is the equation of two kinds
    assert select([0.7, 0.3, 0.0], [0.8, 0.2, 0.5])[WRONG] == pytest.approx(selected_error(0.3, 0.8, 0.2), rel=1e-14)


def test_one_step_selects_first_and_responds_after():
    def forgetful(composition):
        return 0.5 * composition + np.array([0.25, 0.25])

    step = one_step([0.5, 0.5], [0.8, 0.2], forgetful)
    assert step[WRONG] == pytest.approx(0.5 * 0.2 + 0.25, rel=1e-14)


def test_acceptance_may_differ_between_rounds():
    path = free_running([0.5, 0.5], [[0.8, 0.2], [0.2, 0.8]], imitator, num_rounds=2)
    np.testing.assert_allclose(path[2], [0.5, 0.5], rtol=1e-14)  # the second round undoes the first


@pytest.mark.parametrize(("sensitivity", "false_positive_rate", "settles"), [(0.7, 0.3, 0.0), (0.3, 0.7, 1.0)])
def test_a_perfect_imitator_is_fixed_at_the_ends_with_slope_f_over_s(sensitivity, false_positive_rate, settles):
    ends = fixed_points([sensitivity, false_positive_rate], imitator)
    assert [end.error for end in ends] == [0.0, 1.0]
    ratio = false_positive_rate / sensitivity
    # the eigenvalue at 0 is f/s, at 1 it is s/f; differences of width 1e-4, second order: error about 1e-8 r³
    assert ends[0].slope == pytest.approx(ratio, abs=1e-6)
    assert ends[1].slope == pytest.approx(1 / ratio, abs=1e-6)
    assert [end.stable() for end in ends] == [end.error == settles for end in ends]


def test_a_linear_response_has_the_fixed_point_of_its_quadratic():
    # g(q) = a + (1 − 2a) q with s, f: ε = g(B(ε)) is a quadratic in ε
    a, s, f = 0.1, 0.8, 0.4

    def response(composition):
        return a + (1 - 2 * a) * composition

    # ε (ε f + (1−ε) s) = a (ε f + (1−ε) s) + (1−2a) ε f
    roots = np.roots([f - s, s - a * (f - s) - (1 - 2 * a) * f, -a * s])
    expected = [root for root in roots if 0 <= root <= 1]
    points = fixed_points([s, f], response)
    assert [point.error for point in points] == pytest.approx(expected, abs=1e-12)
    slope = (1 - 2 * a) * f * s / (points[0].error * f + (1 - points[0].error) * s) ** 2
    assert points[0].slope == pytest.approx(slope, abs=1e-7)
    line = free_running([0.5, 0.5], [s, f], response, num_rounds=200)
    assert line[-1, WRONG] == pytest.approx(expected[0], abs=1e-12)


def test_overshooting_unsettles_a_replaced_buffer_but_not_an_appended_one():
    def steep(composition):
        lean = 1 / (1 + np.exp(-8 * (composition[RIGHT] - 0.5)))
        return np.array([1 - lean, lean])

    (point,) = fixed_points([0.5, 0.5], steep)
    assert point.error == pytest.approx(0.5, abs=1e-10)
    assert point.eigenvalues[0].real == pytest.approx(-2.0, abs=1e-5)
    assert not point.stable("replaced")
    assert point.stable("appended")
    late = free_running([0.4, 0.6], [0.5, 0.5], steep, num_rounds=400, buffer="appended")[-1]
    assert late[WRONG] == pytest.approx(0.5, abs=1e-2)


def test_on_the_triangle_the_three_corners_are_fixed_and_their_eigenvalues_are_ratios_of_acceptance():
    acceptance = np.array([0.7, 0.3, 0.2])
    points = fixed_points(acceptance, imitator)
    assert len(points) == 3
    for point in points:
        corner = int(np.argmax(point.composition))
        others = [kind for kind in (RIGHT, WRONG, ABSTENTION) if kind != corner]
        expected = sorted(acceptance[others] / acceptance[corner], reverse=True)
        np.testing.assert_allclose(point.eigenvalues.real, expected, atol=1e-6)
        assert point.stable() == (corner == RIGHT)


def test_three_competing_attractors_leave_three_saddles_and_a_repeller_between_them():
    def winner(composition):  # sharpening: (3 − 1)-fold power, symmetric in the kinds
        power = composition**3
        return power / power.sum()

    points = fixed_points([0.5, 0.5, 0.5], winner)
    growing = sorted(int((np.abs(point.eigenvalues) > 1).sum()) for point in points)
    assert growing == [0, 0, 0, 1, 1, 1, 2]  # attractors − saddles + repellers = 1, as on any disc


def test_nothing_accepted_is_an_error_and_not_a_division_by_zero():
    with pytest.raises(ValueError, match="nothing can be accepted"):
        selected_error(1.0, 0.7, 0.0)
    with pytest.raises(ValueError, match="sums to one"):
        select([0.5, 0.6], [0.5, 0.5])
    with pytest.raises(ValueError, match="must lie in"):
        select([0.5, 0.5], [1.5, 0.5])
    with pytest.raises(ValueError, match="replaced"):
        free_running([0.5, 0.5], [0.5, 0.5], imitator, num_rounds=1, buffer="emptied")
