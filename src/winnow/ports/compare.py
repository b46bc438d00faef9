"""Whether two values that went through a port are the same: replies, notes, results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from winnow.ports.requests import Cost
from winnow.values.tree import Tree


def same(one: Any, other: Any, tolerance: float = 0.0) -> bool:
    """Whether two values are equal, with numbers within ``tolerance``; costs are compared only when it is 0.

    A reply's cost may depend on what was asked beside it, since equal prompts are encoded once.
    """
    if type(one) is not type(other):
        return bool(one == other) if isinstance(one, int | float) and isinstance(other, int | float) else False
    if isinstance(one, Cost):
        return tolerance > 0 or tuple(one) == tuple(other)
    if isinstance(one, np.ndarray):
        return one.shape == other.shape and close(one, other, tolerance)
    if isinstance(one, float):
        return close(np.array(one), np.array(other), tolerance)
    if isinstance(one, Tree):
        parts = [(tree.prompts, tree.parent, tree.token, tree.logprob) for tree in (one, other)]
        return same(parts[0], parts[1], tolerance)
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name), tolerance) for f in fields(one))
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key], tolerance) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b, tolerance) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def close(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two arrays are equal, floats within ``tolerance`` (and NaN equal to NaN)."""
    if np.asarray(one).dtype.kind not in "fc":
        return bool(np.array_equal(one, other))
    return bool(np.allclose(one, other, atol=tolerance, rtol=0, equal_nan=True))
