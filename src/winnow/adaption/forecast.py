"""What theory says the next round will be, from queries the run never sees.

    one step       the composition measured in this round, selected by the evaluator's acceptance of each kind, through the
                   response curve:  g(B(p))
    free running   loops simulated from round 0 on, never corrected by a measurement: their mean, and their spread

Acceptance is that of answers written in contexts like this round's: a wrong answer that a good context could not prevent is
harder to tell from a right one. Acceptance and curve are measured together on the held-out queries (response.py); what that
leaves open is drawn by resampling whole queries, since one query's answers at different points of the curve err together.
The predictive interval adds the chance in who is accepted, who stands in which context, and what is answered. Free running,
that chance is passed on: a few evasions at the start may die out or take over, and a line of expectations says neither.
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
from winnow.dynamics.prediction import next_round, predictive_draws, predictive_interval
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

    def __init__(self, task: Task, response: Response, *, key: Key, num_draws: int = 500) -> None:
        self.task, self.key = task, key
        num_kinds = 3 if task.abstentions else 2
        self.context = response.context[:, :num_kinds]
        num_points, num_queries = len(self.context), response.kind.shape[1]
        keep = survival(task, response.score.ravel(), np.arange(response.score.size)).reshape(response.score.shape)
        drawn = (uniforms(key, "queries", np.arange(num_draws), num_queries) * num_queries).astype(np.int64)
        times = np.stack([np.bincount(pick, minlength=num_queries) for pick in drawn]).astype(np.float64)
        is_kind = (response.kind[..., None] == np.arange(num_kinds)).astype(np.float64)  # [S + G, Q, K]
        starts = len(response.kind) - num_points
        self.number, self.kept = (
            np.concatenate([table[:, :starts].sum(axis=1, keepdims=True), table[:, starts:]], axis=1)
            for table in (
                np.einsum("bq,pqk->bpk", times, is_kind),
                np.einsum("bq,pqk->bpk", times, is_kind * keep[..., None]),
            )
        )  # each [B, 1 + G, K], entry 0 of the middle axis without examples
        smoothing = self._fit(
            is_kind[starts:].sum(axis=1), None
        ).smoothing  # the measurement's own, for every replicate
        self.curves = [self._fit(number[1:], smoothing) for number in self.number]
        self._paths: list[tuple[IntArray, IntArray, FloatArray | None]] = []

    def _fit(self, number: FloatArray, smoothing: float | None) -> ResponseCurve:
        answers = np.rint(number).astype(np.int64)
        return ResponseCurve.fit(ResponseMeasurement(context=self.context, answers=answers), smoothing=smoothing)

    def acceptance(self, buffer: FloatArray | None) -> FloatArray:
        """Acceptance of each kind among answers in contexts from a buffer of this composition: ``[B, K]``, B replicates.

        ``buffer`` is one composition ``[K]`` for all replicates, or one each ``[B, K]``; None stands for no examples. A
        kind that was not written nearby is taken from all points, one that never was is as likely accepted as not.
        """
        replicates, points = self.number.shape[0], len(self.context)
        near = np.zeros((replicates, 1 + points))
        if buffer is None:
            near[:, 0] = 1.0
        else:
            apart = (
                self.context / self.context[0].sum() - np.broadcast_to(buffer, (replicates, buffer.shape[-1]))[:, None]
            )
            near[:, 1:] = np.exp(-0.5 * (np.linalg.norm(apart, axis=2) / NEARBY) ** 2)
        rates = np.full((replicates, self.context.shape[1]), 0.5)
        for weight in (np.ones_like(near), near):
            number, kept = (np.einsum("bp,bpk->bk", weight, table) for table in (self.number, self.kept))
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
        rates = self.acceptance(before / max(before.sum(), 1) if number > 1 else None)
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
        free = self.free_running(self._counts(kind, born == 0), number, num_queries)
        free_error = predictive_interval(1.0 - free[:, [RIGHT]])
        return {
            "one_step": {
                "error": float(error.mean[0]),
                "interval": [float(error.low[0]), float(error.high[0])],
                "kinds": dict(zip(KINDS, draws.mean(axis=0).tolist(), strict=False)),
            },
            "free_running": {
                "error": float(free_error.mean[0]),
                "interval": [float(free_error.low[0]), float(free_error.high[0])],
                "kinds": dict(zip(KINDS, free.mean(axis=0).tolist(), strict=False)),
            },
        }

    def free_running(self, start: IntArray, number: int, num_queries: int) -> FloatArray:
        """Simulated shares of the kinds in round ``number`` of loops that began with these answers: ``[B, K]``.

        Loops in which nothing was accepted have ended and are left out; where all have, what they started with stands.
        """
        if not self._paths or not np.array_equal(self._paths[0][0][0], start):
            first = np.tile(start, (len(self.curves), 1))
            self._paths = [(first, np.zeros_like(first), None)]
        while len(self._paths) <= number:
            answers, held, buffer = self._paths[-1]
            written, filled = next_round(
                answers,
                self.acceptance(buffer),
                self.curves,
                num_queries=num_queries,
                key=self.key.child("free running", len(self._paths)),
                held=held if self.task.buffer == "appended" else None,
                num_contexts=1 if self.task.draw == "shared" else None,
            )
            share = filled / np.maximum(filled.sum(axis=1, keepdims=True), 1)
            self._paths.append((written, filled, share))
        answers = self._paths[number][0]
        alive = answers[answers.sum(axis=1) > 0]
        alive = alive if len(alive) else self._paths[0][0]
        return np.asarray(alive / alive.sum(axis=1, keepdims=True), np.float64)

    def _counts(self, kind: IntArray, who: NDArray[np.bool_]) -> IntArray:
        return np.bincount(kind[who], minlength=3)[: self.context.shape[1]].astype(np.int64)
