"""Gold labels spent on one question: does the evaluator accept right answers more readily than wrong ones?

The loop improves only while sensitivity s exceeds the false-positive rate f (mathematics.md, equation 1), and one
evaluator without labels cannot tell. An audit labels a sample of accepted and of rejected answers. With a = P(right |
accepted), b = P(right | rejected) and acceptance rate A, Bayes gives

    s = a A / (a A + b (1-A)),    f = (1-a) A / ((1-a) A + (1-b)(1-A)),    s > f  exactly when  a > b,

so the decision is a one-sided comparison of two proportions. An audit may stop a run; it never picks an answer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import fisher_exact

from winnow.values.logspace import IntArray
from winnow.values.random import Key, permutation

Z = 1.645  # one-sided 95 %


class Verdict(NamedTuple):
    """What the audit found. An abstention counts as wrong; None is a rate that the labels cannot say."""

    sensitivity: float | None
    false_positive_rate: float | None
    bound: float  # one-sided 95 % lower bound of s - f, -1 where nothing is bounded
    p_value: float  # Fisher's, that an evaluator with s <= f would look this good
    labels: int

    @property
    def carries(self) -> bool:
        """True when the loop may go on."""
        return self.bound > 0.0 and self.p_value <= 0.05


def draw_sample(accepted: IntArray, rejected: IntArray, num_labels: int, key: Key) -> tuple[IntArray, IntArray]:
    """Who is labelled: half of the labels on accepted, half on rejected answers, what one side lacks to the other."""
    want = min(num_labels // 2, accepted.size)
    other = min(num_labels - want, rejected.size)
    want = min(num_labels - other, accepted.size)
    return (
        accepted[permutation(key, "accepted", accepted.size)[:want]],
        rejected[permutation(key, "rejected", rejected.size)[:other]],
    )


def judge(right_accepted: int, num_accepted: int, right_rejected: int, num_rejected: int, rate: float) -> Verdict:
    """Estimate s and f from a stratified sample and bound their difference from below.

    The bound inverts the Agresti-Caffo (2000) interval of a - b, one-sided 95 %: one right and one wrong label are added
    on each side. It is carried over to s - f through s - f = (a - b) A (1 - A) / (P (1 - P)) with P = P(right), a positive
    factor. That interval is approximate, and in lopsided strata too hopeful; so Fisher's exact test has to agree before a
    loop goes on, which holds the share of useless evaluators that pass to 5 % for strata of any size. An empty stratum
    bounds nothing: the verdict is then -1, "cannot be shown".

    Parameters
    ----------
    rate : share of answers that were accepted, in [0, 1].
    """
    labels = num_accepted + num_rejected
    if min(num_accepted, num_rejected) == 0 or not 0.0 < rate < 1.0:
        return Verdict(None, None, -1.0, 1.0, labels)
    a, b = (right_accepted + 1) / (num_accepted + 2), (right_rejected + 1) / (num_rejected + 2)
    spread = np.sqrt(a * (1 - a) / (num_accepted + 2) + b * (1 - b) / (num_rejected + 2))
    right = a * rate + b * (1 - rate)
    factor = rate * (1 - rate) / (right * (1 - right))
    bound = (a - b - Z * spread) * factor
    table = np.array([[right_accepted, num_accepted - right_accepted], [right_rejected, num_rejected - right_rejected]])
    return Verdict(
        sensitivity=a * rate / right,
        false_positive_rate=(1 - a) * rate / (1 - right),
        bound=float(max(bound, -1.0)),
        p_value=float(fisher_exact(table, alternative="greater").pvalue),
        labels=labels,
    )
