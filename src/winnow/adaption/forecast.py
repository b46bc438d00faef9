"""What theory says the next round will be, from queries the run never sees.

    one step       the composition measured in this round, selected by the evaluator's acceptance of each kind, through the
                   response curve:  g(B(p))
    free running   the same from round 0 on, never corrected by a measurement

Acceptance is that of answers written in contexts like this round's: a wrong answer that a good context could not prevent is
harder to tell from a right one. Acceptance and curve are measured together on the held-out queries (response.py); what that
leaves open is drawn by resampling whole queries, since one query's answers at different points of the curve err together.
The predictive interval adds the chance in who is accepted, who stands in which context, and what is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.adaption.labels import KINDS, RIGHT
from winnow.adaption.response import Response
from winnow.adaption.selection import survival
from winnow.adaption.task import Task
from winnow.dynamics.prediction import predictive_draws, predictive_interval
from winnow.dynamics.recurrence import accepted_share, select
from winnow.dynamics.response import ResponseCurve, ResponseMeasurement
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, uniforms

NEARBY = 0.15  # distance between compositions at which a measured point still counts for another


class Forecast:
    """Predictions for one task and rule of selection.

    Parameters
    ----------
    num_draws : replicates of acceptance, curve and round behind each interval.
    """

    def __init__(self, task: Task, response: Response, *, key: Key, num_draws: int = 200) -> None:
        self.task, self.key = task, key
        num_kinds = 3 if task.abstentions else 2
        self.context = response.context[:, :num_kinds]
        num_points, num_queries = len(self.context), response.kind.shape[1]
        keep = survival(task, response.score.ravel(), np.arange(response.score.size)).reshape(response.score.shape)
        drawn = (uniforms(key, "queries", np.arange(num_draws), num_queries) * num_queries).astype(np.int64)
        # replicate 0 is the measurement itself
        times = np.stack([np.ones(num_queries), *(np.bincount(pick, minlength=num_queries) for pick in drawn)])
        is_kind = (response.kind[..., None] == np.arange(num_kinds)).astype(np.float64)  # [S + G, Q, K]
        starts = len(response.kind) - num_points
        self.number, self.kept = (
            np.concatenate([table[:, :starts].sum(axis=1, keepdims=True), table[:, starts:]], axis=1)
            for table in (
                np.einsum("bq,pqk->bpk", times, is_kind),
                np.einsum("bq,pqk->bpk", times, is_kind * keep[..., None]),
            )
        )  # each [1 + B, 1 + G, K], entry 0 of the middle axis without examples
        self.curve = self._fit(self.number[0], None)
        self.curves = [self._fit(number, self.curve.smoothing) for number in self.number[1:]]

    def _fit(self, number: FloatArray, smoothing: float | None) -> ResponseCurve:
        answers = np.rint(number[1:]).astype(np.int64)
        return ResponseCurve.fit(ResponseMeasurement(context=self.context, answers=answers), smoothing=smoothing)

    def acceptance(self, buffer: FloatArray | None) -> FloatArray:
        """Acceptance of each kind ``[1 + B, K]`` among answers in contexts from a buffer of this composition ``[K]``.

        None stands for no examples. A kind that was not written nearby is taken from all points, one that never was is as
        likely accepted as not.
        """
        if buffer is None:
            near = np.r_[1.0, np.zeros(len(self.context))]
        else:
            distance = np.linalg.norm(self.context / self.context[0].sum() - buffer, axis=1)
            near = np.r_[0.0, np.exp(-0.5 * (distance / NEARBY) ** 2)]
        rates = np.full((len(self.number), self.context.shape[1]), 0.5)
        for weight in (np.ones_like(near), near):
            number, kept = np.einsum("p,bpk->bk", weight, self.number), np.einsum("p,bpk->bk", weight, self.kept)
            rates = np.where(number > 1e-3, kept / np.maximum(number, 1e-3), rates)
        return np.asarray(np.clip(rates, 1e-9, 1.0), np.float64)

    def after(
        self, number: int, rounds: Sequence[int], kind: IntArray, accepted: Sequence[bool], num_queries: int
    ) -> dict[str, Any] | None:
        """Predictions for round ``number`` from the kinds of everyone born before it; None where there are none.

        Parameters
        ----------
        rounds, kind, accepted : ``[N]`` round of birth, kind and fate of every ancestor, in order of birth.
        num_queries : how many answers the round will hold.
        """
        if number == 0:
            return None
        born, fate = np.asarray(rounds), np.asarray(accepted)
        last = self._counts(kind, born == number - 1)
        earlier = self._counts(kind, (born < number - 1) & fate)
        appended = self.task.buffer == "appended"
        before = earlier if appended else self._counts(kind, (born == number - 2) & fate)
        rates = self.acceptance(before / max(before.sum(), 1) if number > 1 else None)[1:]
        if float((rates @ last).max()) < 0.05:
            return None  # of the held-out answers next to nothing was accepted: there is nothing to predict from
        draws = predictive_draws(
            last,
            rates,
            self.curves,
            num_queries=num_queries,
            key=self.key.child("one step", number),
            held=earlier if appended else None,
            num_contexts=1 if self.task.draw == "shared" else None,
        )
        error = predictive_interval(1.0 - draws[:, [RIGHT]])
        start = self._counts(kind, born == 0)
        line = self.free_running(start / start.sum(), number)[-1]
        return {
            "one_step": {
                "error": float(error.mean[0]),
                "interval": [float(error.low[0]), float(error.high[0])],
                "kinds": dict(zip(KINDS, draws.mean(axis=0).tolist(), strict=False)),
            },
            "free_running": {
                "error": float(1.0 - line[RIGHT]),
                "kinds": dict(zip(KINDS, line.tolist(), strict=False)),
            },
        }

    def free_running(self, start: FloatArray, num_rounds: int) -> FloatArray:
        """Expected composition of every round's answers from round 0's alone: ``[num_rounds + 1, K]``.

        As ``dynamics.recurrence.free_running``, with the acceptance of each round's own contexts.
        """
        path, buffer = [np.asarray(start, np.float64)], None
        held = np.zeros_like(path[0])
        for _ in range(num_rounds):
            rates = self.acceptance(buffer)[0]
            new = accepted_share(path[-1], rates) * select(path[-1], rates)
            held = held + new if self.task.buffer == "appended" else new
            buffer = held / held.sum()
            path.append(self.curve(buffer))
        return np.array(path)

    def _counts(self, kind: IntArray, who: NDArray[np.bool_]) -> IntArray:
        return np.bincount(kind[who], minlength=3)[: self.context.shape[1]].astype(np.int64)
