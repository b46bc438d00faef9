"""A masked model that is exact: the conditionals of a joint distribution over texts of one length, given by a table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from winnow.models.masked import Masked
from winnow.models.symbols import Symbols
from winnow.ports.requests import Prompt
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.random import Key, uniforms


class MaskSymbols(Symbols):
    """Symbols, and a mask written as ``_``; nothing stands around a text."""

    def encode(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, str) and "_" in prompt:
            mask = self.vocabulary_size - 1
            parts = [super(MaskSymbols, self).encode(part) for part in prompt.split("_")]
            return [token for place, part in enumerate(parts) for token in ([mask] if place else []) + part]
        return super().encode(prompt)


def tabular_masked(vocabulary: Sequence[str] = "abc", *, length: int = 3, key: Key | None = None) -> Masked:
    """Conditionals of a random joint distribution over texts of ``length`` symbols; ``joint_of`` gives the joint.

    Other hidden places than the one that is read are summed over.

    >>> model = tabular_masked("ab", length=2)
    >>> model.codec.encode("a_")
    [0, 2]
    """
    codec = MaskSymbols(vocabulary)
    joint = joint_of(vocabulary, length=length, key=key)
    mask = codec.vocabulary_size - 1

    def forward(tokens: IntArray, places: IntArray) -> FloatArray:
        result = np.full((len(tokens), codec.vocabulary_size), -np.inf)
        for row, (text, place) in enumerate(zip(tokens.tolist(), places.tolist(), strict=True)):
            if len(text) != length:
                raise ValueError(f"texts have {length} symbols here, not {len(text)}")
            seen = tuple(slice(None) if t == mask or at == place else t for at, t in enumerate(text))
            free = [at for at, one in enumerate(seen) if isinstance(one, slice)]
            table = joint[seen]
            mass = table.sum(axis=tuple(axis for axis, at in enumerate(free) if at != place))
            result[row, :mask] = np.log(mass / mass.sum())
        return result

    digest = hashlib.sha256(joint.tobytes()).hexdigest()[:16]
    return Masked(
        forward,
        codec,
        mask_token=mask,
        mask_text="_",
        special=[mask],
        identity=f"tabular masked@{digest}",
        context_length=length,
    )


def joint_of(vocabulary: Sequence[str] = "abc", *, length: int = 3, key: Key | None = None) -> FloatArray:
    """The joint ``[V] * length`` of ``tabular_masked`` with the same arguments; sums to one."""
    size = len(vocabulary)
    weight = -np.log1p(-uniforms(key or Key(0), "joint", [0], size**length)[0])
    return np.asarray((weight / weight.sum()).reshape((size,) * length), np.float64)
