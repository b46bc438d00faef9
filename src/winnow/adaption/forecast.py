"""What theory says the next round will be, from queries the run never sees.

    one step       the composition measured in this round, selected by the evaluator's acceptance of each kind, through the
                   response curve:  g(B(p))
    free running   the same from round 0 on, never corrected by a measurement

Acceptance and curve are measured together on the held-out queries (response.py); what that leaves open is drawn by
resampling whole queries, since one query's answers at different points of the curve err together. The predictive interval
adds the chance in who is accepted, who stands in which context, and what is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.adaption.labels import KINDS, RIGHT, WRONG, acceptance
from winnow.adaption.response import Response
from winnow.adaption.selection import survival
from winnow.adaption.task import Task
from winnow.dynamics.prediction import predictive_draws
from winnow.dynamics.recurrence import free_running
from winnow.dynamics.response import ResponseCurve, ResponseMeasurement
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, uniforms


class Forecast:
    """Predictions for one task and rule of selection.

    Parameters
    ----------
    num_draws : replicates of acceptance, curve and round behind each interval.
    """

    def __init__(self, task: Task, response: Response, *, key: Key, num_draws: int = 200) -> None:
        self.task, self.key = task, key
        self.num_kinds = 3 if task.abstentions else 2
        self.context = response.context[:, : self.num_kinds]
        keep = survival(task, response.score.ravel(), np.arange(response.score.size)).reshape(response.score.shape)
        num_queries = response.kind.shape[1]
        self.smoothing: float | None = None  # chosen once, on all there is
        self.acceptance, self.curve = self._fit(response.kind, keep)
        self.smoothing = self.curve.smoothing
        picks = (uniforms(key, "queries", np.arange(num_draws), num_queries) * num_queries).astype(np.int64)
        fits = [self._fit(response.kind[:, pick], keep[:, pick]) for pick in picks]
        self.acceptances = np.array([fit[0] for fit in fits])
        self.curves = [fit[1] for fit in fits]

    def _fit(self, kind: IntArray, keep: FloatArray) -> tuple[FloatArray, ResponseCurve]:
        """Acceptance of each kind ``[K]`` and the curve, from kinds and survival ``[S + G, Q]``."""
        rates = acceptance(kind.ravel(), keep.ravel())[: self.num_kinds]
        rates = np.where(np.isnan(rates), np.nan_to_num(rates[WRONG], nan=0.5), rates)
        counts = np.array([np.bincount(row, minlength=3)[: self.num_kinds] for row in kind[-len(self.context) :]])
        measurement = ResponseMeasurement(context=self.context, answers=counts)
        return np.clip(rates, 1e-9, 1.0), ResponseCurve.fit(measurement, smoothing=self.smoothing)

    def after(
        self, number: int, rounds: Sequence[int], kind: IntArray, accepted: Sequence[bool], num_queries: int
    ) -> dict[str, Any] | None:
        """Predictions for round ``number`` from the kinds of everyone born before it; None for round 0.

        Parameters
        ----------
        rounds, kind, accepted : ``[N]`` round of birth, kind and fate of every ancestor, in order of birth.
        num_queries : how many answers the round will hold.
        """
        if number == 0:
            return None
        born, fate = np.asarray(rounds), np.asarray(accepted)
        last = self._counts(kind, born == number - 1)
        appended = self.task.buffer == "appended"
        draws = predictive_draws(
            last,
            self.acceptances,
            self.curves,
            num_queries=num_queries,
            key=self.key.child("one step", number),
            held=self._counts(kind, (born < number - 1) & fate) if appended else None,
            num_contexts=1 if self.task.draw == "shared" else None,
        )
        error = 1.0 - draws[:, RIGHT]
        line = free_running(
            self._counts(kind, born == 0) / max(int((born == 0).sum()), 1),
            self.acceptance,
            self.curve,
            num_rounds=number,
            buffer="appended" if appended else "replaced",
        )[-1]
        return {
            "one_step": {
                "error": float(error.mean()),
                "interval": [float(q) for q in np.quantile(error, [0.025, 0.975], method="inverted_cdf")],
                "kinds": dict(zip(KINDS, draws.mean(axis=0).tolist(), strict=False)),
            },
            "free_running": {
                "error": float(1.0 - line[RIGHT]),
                "kinds": dict(zip(KINDS, line.tolist(), strict=False)),
            },
        }

    def _counts(self, kind: IntArray, who: NDArray[np.bool_]) -> IntArray:
        return np.bincount(kind[who], minlength=3)[: self.num_kinds].astype(np.int64)
