"""A self-evaluated buffer, round by round: the recurrence a loop of selection and imitation must follow.

A *composition* is the shares of the kinds of answers, in this order: right, wrong and (where there are three) abstention.
Selection is an acceptance probability a kind, ``(s, f, a)``: sensitivity, false-positive rate, acceptance of abstentions.
A *response* maps the composition of a buffer to the composition of the answers that a model writes with contexts drawn
from it; the identity is a perfect imitator.

This file knows expectations only. It refuses to know where the response comes from (response.py, bayes.py), what a finite
buffer does (drift.py), and how far a measurement may lie from the line (prediction.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from winnow.values.logspace import FloatArray

RIGHT, WRONG, ABSTENTION = 0, 1, 2

Response: TypeAlias = Callable[[FloatArray], FloatArray]  # composition of the buffer [K] -> of the answers [K]
Buffer: TypeAlias = Literal["replaced", "appended"]


def selected_error(error: float, sensitivity: float, false_positive_rate: float) -> float:
    """Share of wrong ones among the accepted.

        B(ε) = ε f / (ε f + (1 − ε) s)

    The selection term of the Price equation for the trait "wrong" is B(ε) − ε.

    Parameters
    ----------
    error : ε in [0, 1], share of wrong answers before selection.
    sensitivity : s in [0, 1], P(accept | right).
    false_positive_rate : f in [0, 1], P(accept | wrong).

    Raises
    ------
    ValueError
        When nothing can be accepted, or an argument is no probability.

    References
    ----------
    Robertson (2020), "Can GPT predict the quality of its output", with s = α and f = 1 − α.

    Examples
    --------
    >>> round(selected_error(0.2, 0.3, 0.1), 3)  # "accuracy" .42, and yet it falls
    0.077
    >>> round(selected_error(0.1, 0.55, 0.9), 3)
    0.154
    """
    return float(select([1.0 - error, error], [sensitivity, false_positive_rate])[WRONG])


def selected_error_after(error: float, sensitivity: float, false_positive_rate: float, num_rounds: int) -> float:
    """Share of wrong ones after ``num_rounds`` of selection with a replaced buffer and a perfect imitator.

        odds(ε_n) = odds(ε_0) (f/s)^n

    Computed on log odds, so that it neither overflows nor loses small errors. Fresh evaluations each round are assumed:
    re-reading one evaluator on the same answers cannot help again.

    Raises
    ------
    ValueError
        When s or f is zero (one round then decides all: use `selected_error`), or an argument is no probability.

    Examples
    --------
    >>> round(selected_error_after(0.456, 0.7, 0.3, 8), 3)
    0.001
    """
    _probabilities([error, sensitivity, false_positive_rate], "error, sensitivity and false_positive_rate")
    if sensitivity == 0.0 or false_positive_rate == 0.0:
        raise ValueError("sensitivity and false_positive_rate must be positive for the odds form")
    if error in (0.0, 1.0):
        return float(error)
    log_odds = np.log(error) - np.log1p(-error) + num_rounds * (np.log(false_positive_rate) - np.log(sensitivity))
    return float(np.exp(-np.logaddexp(0.0, -log_odds)))


def error_falls(sensitivity: float, false_positive_rate: float) -> bool:
    """Whether selection lowers the error of every mixed buffer: exactly when s > f, whatever the accuracy."""
    return sensitivity > false_positive_rate


def select(composition: ArrayLike, acceptance: ArrayLike) -> FloatArray:
    """Composition of the accepted: ``p'_j = p_j a_j / Σ_i p_i a_i``.

    Parameters
    ----------
    composition : ``[..., K]`` shares of the kinds before selection.
    acceptance : ``[..., K]`` probability that an answer of this kind is accepted.

    Returns
    -------
    ``[..., K]``

    Raises
    ------
    ValueError
        When nothing can be accepted, or an argument is no composition or no probability.
    """
    share, accept = _composition(composition), _probabilities(acceptance, "acceptance")
    kept = share * accept
    total = kept.sum(axis=-1, keepdims=True)
    if np.any(total <= 0.0):
        raise ValueError("nothing can be accepted: every kind present has acceptance zero")
    return np.asarray(kept / total, np.float64)


def accepted_share(composition: ArrayLike, acceptance: ArrayLike) -> FloatArray:
    """Share of all answers that is accepted, ``Σ_j p_j a_j``: ``[...]``."""
    return np.asarray((_composition(composition) * _probabilities(acceptance, "acceptance")).sum(axis=-1), np.float64)


def one_step(composition: ArrayLike, acceptance: ArrayLike, response: Response) -> FloatArray:
    """Expected composition of the next round's answers, ``g(B(p))``, with a replaced buffer: ``[K]``.

    Parameters
    ----------
    composition : ``[K]`` shares of the kinds among this round's answers, as measured.
    acceptance : ``[K]`` acceptance probability a kind.
    response : composition of the buffer to composition of the answers; a `ResponseCurve`, or any function.
    """
    return np.asarray(response(select(composition, acceptance)), np.float64)


def free_running(
    start: ArrayLike,
    acceptance: ArrayLike,
    response: Response,
    *,
    num_rounds: int,
    buffer: Buffer = "replaced",
    accepted: ArrayLike | None = None,
) -> FloatArray:
    """Expected composition of the answers of every round from the first one alone: ``[num_rounds + 1, K]``.

        replaced   p_{t+1} = g(B(p_t))
        appended   p_{t+1} = g( Σ_{u≤t} m_u B(p_u) / Σ_{u≤t} m_u )

    ``m_u`` is what round u adds to the buffer: as many as are accepted in expectation, ``Σ_j p_j a_j`` a query, unless
    ``accepted`` says how many they were. A round in which the evaluator rejects much therefore weighs little for ever.
    Row 0 is ``start``, the answers written before anything was selected.

    Parameters
    ----------
    start : ``[K]`` composition of the answers of round 0.
    acceptance : ``[K]``, or ``[num_rounds, K]`` where it differs between rounds.
    response : as in `one_step`.
    num_rounds : rounds of selection to go.
    buffer : "replaced" holds the acceptances of one round, "appended" those of all rounds so far.
    accepted : ``[num_rounds]`` numbers accepted in rounds 0 .. num_rounds − 1; only "appended" needs them.

    Notes
    -----
    A line of expectations: early luck, which an appended buffer remembers as a Pólya urn does, is not in it.

    Raises
    ------
    ValueError
        When nothing can be accepted, the buffer has another name, or shapes do not fit.
    """
    if buffer not in ("replaced", "appended"):
        raise ValueError(f"a buffer is 'replaced' or 'appended', not {buffer!r}")
    path = [_composition(start)]
    accept = np.broadcast_to(_probabilities(acceptance, "acceptance"), (num_rounds, path[0].size))
    weight = None if accepted is None else np.broadcast_to(np.asarray(accepted, np.float64), (num_rounds,))
    held = np.zeros_like(path[0])
    for index in range(num_rounds):
        added = float(accepted_share(path[-1], accept[index])) if weight is None else float(weight[index])
        new = added * select(path[-1], accept[index])
        held = new if buffer == "replaced" else held + new
        if held.sum() <= 0.0:
            raise ValueError(f"the buffer is empty in round {index}: nothing was accepted")
        path.append(np.asarray(response(held / held.sum()), np.float64))
    return np.array(path)


def _composition(values: ArrayLike) -> FloatArray:
    share = np.asarray(values, np.float64)
    if share.ndim == 0 or np.any(share < 0.0) or not np.allclose(share.sum(axis=-1), 1.0, rtol=0.0, atol=1e-9):
        raise ValueError(f"a composition is non-negative and sums to one, not {share.tolist()}")
    return share


def _probabilities(values: ArrayLike, name: str) -> FloatArray:
    probability = np.asarray(values, np.float64)
    if not np.all((probability >= 0.0) & (probability <= 1.0)):
        raise ValueError(f"{name} must lie in [0, 1], not {probability.tolist()}")
    return probability
