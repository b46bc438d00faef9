"""Which answers survive: the rules of selection, and two controls that take selection away.

A rule sees scores, never gold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from winnow.adaption.task import Task
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, uniforms


def survival(task: Task, score: FloatArray, group: IntArray) -> FloatArray:
    """Probability that each answer is kept: ``[N]``, in [0, 1].

    Parameters
    ----------
    score : ``[N]`` in [0, 1]; NaN marks an answer that was not evaluated, and it never survives.
    group : ``[N]`` the query each answer belongs to; ``best`` keeps the first best-scored one of each group.
    """
    known = np.nan_to_num(score, nan=0.0)
    if task.select == "soft":
        keep = known
    elif task.select == "threshold":
        keep = (known >= task.threshold).astype(np.float64)
    elif task.select == "inverted":
        keep = 1.0 - known
    elif task.select == "random":
        evaluated = int((~np.isnan(score)).sum())
        keep = np.full_like(
            known, known.sum() / max(evaluated, 1)
        )  # empty answers cannot be kept, so the others make up
    else:
        order = np.lexsort((np.arange(known.size), -known, group))
        first = order[np.r_[True, group[order][1:] != group[order][:-1]]] if order.size else order
        keep = np.zeros_like(known)
        keep[first] = 1.0
    return np.where(np.isnan(score), 0.0, keep)


def select(task: Task, score: FloatArray, group: IntArray, key: Key) -> tuple[NDArray[np.bool_], FloatArray]:
    """Who survives ``[N]``, and the probability each had ``[N]``; the draw of answer i belongs to slot i of ``key``."""
    keep = survival(task, score, group)
    return uniforms(key, "survive", np.arange(score.size))[:, 0] < keep, keep
