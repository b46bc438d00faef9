"""Random numbers that belong to a place, not to a moment.

A draw is named by (seed, path, purpose, slot, step): which run, where in it, what for, which individual, which step of
it. The same name gives the same number on every machine, in every batch, in any order of replies and after any number
of restarts. There is no global generator and no state. Built on numpy's Philox, a counter-based generator
(Salmon et al. 2011): the name's hash is its key, (step, slot) its counter.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from winnow.values.logspace import FloatArray, IntArray


class Key(NamedTuple):
    """A place in a run that random numbers belong to.

    >>> Key(0).child("round", 3)
    Key(seed=0, path=('round', 3))
    """

    seed: int
    path: tuple[str | int, ...] = ()

    def child(self, *parts: str | int) -> Key:
        """The place ``parts`` below this one."""
        return Key(self.seed, self.path + parts)


def uniforms(key: Key, purpose: str, slots: ArrayLike, steps: int = 1) -> FloatArray:
    """Uniform numbers in [0, 1): ``[N, steps]``, one stream a slot.

    The first ``s`` columns do not depend on ``steps``, and a row depends on its slot only: asking for more steps, fewer
    slots or another order changes nothing that both requests name.

    Raises
    ------
    ValueError
        When a slot is negative.
    """
    slots = np.atleast_1d(np.asarray(slots, dtype=np.int64))
    if slots.size and slots.min() < 0:
        raise ValueError("a slot is a number from 0 up")
    # every integer type is "int": a numpy integer in a path names the place that the Python one names
    parts = (f"{'str' if isinstance(part, str) else 'int'}:{part}" for part in key.path)
    name = "\x1f".join([str(key.seed), *parts, purpose])
    words = np.frombuffer(hashlib.blake2b(name.encode(), digest_size=16).digest(), dtype="<u8")
    rows = [
        np.random.Generator(np.random.Philox(key=words, counter=[0, int(slot), 0, 0])).random(steps) for slot in slots
    ]
    return np.asarray(rows, dtype=np.float64).reshape(slots.size, steps)


def permutation(key: Key, purpose: str, size: int) -> IntArray:
    """A random order of ``range(size)``: ``[size]``."""
    return np.argsort(uniforms(key, purpose, [0], size)[0], kind="stable")


def choose(key: Key, purpose: str, slots: ArrayLike, num_options: int, num_chosen: int) -> IntArray:
    """For each slot, ``num_chosen`` different options out of ``num_options`` in random order: ``[N, num_chosen]``.

    Raises
    ------
    ValueError
        When more are asked for than there are.
    """
    if num_chosen > num_options:
        raise ValueError(f"cannot choose {num_chosen} different ones out of {num_options}")
    order = np.argsort(uniforms(key, purpose, slots, num_options), axis=1, kind="stable")
    return order[:, :num_chosen]
