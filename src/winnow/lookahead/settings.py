"""Everything a study is told, and what it therefore asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow.lookahead.amplify import check_depth
from winnow.lookahead.horizon import Horizon
from winnow.lookahead.look import Look
from winnow.lookahead.mixing import MIXING, check_mixing
from winnow.lookahead.texts import Prepared
from winnow.ports.requests import LanguageModel
from winnow.values.errors import InputError
from winnow.values.random import Key


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """What is tried, and how.

    Parameters
    ----------
    widths, depth : of the beams; every depth up to ``depth`` is reported.
    averages : exponents a of (3).
    powers : exponents of (5); none leaves it out.
    future_depth, num_futures, stride, least : of (5): see ``Look``.
    weights : fixed weights to report beside the fitted one; none unless given.
    mixings : linear, geometric or both.
    horizon, horizon_futures, horizon_stride : length, number and spacing of the futures of the horizon curve; 0 for none.
    seed : names the halves, the bootstrap and all that is drawn.
    """

    widths: tuple[int, ...] = (2, 4, 8)
    depth: int = 6
    averages: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    powers: tuple[float, ...] = (0.5, 0.75, 1.5, 3.0)
    future_depth: int = 3
    num_futures: int = 4
    stride: int = 8
    least: float = 0.001
    weights: tuple[float, ...] = ()
    mixings: tuple[str, ...] = MIXING
    horizon: int = 12
    horizon_futures: int = 8
    horizon_stride: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        for mixing in self.mixings:
            check_mixing(0.0, 0.0, mixing)
        for weight in self.weights:
            check_mixing(weight, 0.0, "linear")
        if not self.widths or min(self.widths) < 1:
            given = min(self.widths) if self.widths else "none"
            raise InputError(f"must be at least 1, not {given}", where="width", remedy="for example 2,4,8")
        if self.depth < 2:
            raise InputError(
                f"must be at least 2, not {self.depth}",
                where="depth",
                remedy="depth 1 is temperature and truncation, the rival",
            )
        for average in self.averages:
            if not 0.0 <= average < np.inf:
                raise InputError(f"must be a number from 0 up, not {average:g}", where="average")
        for power in self.powers:
            if not 0.0 < power < np.inf:
                raise InputError(
                    f"must be a number above 0, not {power:g}", where="power", remedy="1 is the model itself"
                )
        if not self.averages and not self.powers:
            raise InputError("neither averages nor powers are given", where="lookahead", remedy="give one of either")
        if self.horizon < 0:
            raise InputError(f"must be at least 0, not {self.horizon}", where="horizon", remedy="0 leaves it out")
        for name in ("future_depth", "num_futures", "stride", "horizon_futures", "horizon_stride"):
            if getattr(self, name) < 1:
                raise InputError(f"must be at least 1, not {getattr(self, name)}", where=name)

    @property
    def furthest(self) -> int:
        """Tokens of lookahead for which there must be room."""
        return max(self.depth, self.future_depth if self.powers else 1)

    def check(self, model: LanguageModel) -> None:
        """Refuse, before anything is asked, a depth beyond the context.

        Raises
        ------
        ContextError
            Naming both lengths.
        """
        check_depth(self.furthest, model)

    def looks(self, text: Prepared, model: LanguageModel) -> tuple[Look, ...]:
        """The looks of a study, a handful of stretches each: what a kill may lose is one of them."""
        key = Key(self.seed).child("lookahead")
        return tuple(
            Look(
                **part,
                widths=tuple(sorted(self.widths)),
                depth=self.depth,
                end_tokens=tuple(int(token) for token in model.codec.end_tokens),
                powers=self.powers,
                future_depth=self.future_depth if self.powers else 1,
                num_futures=self.num_futures,
                stride=self.stride,
                least=self.least,
                key=key.child(number),
            )
            for number, part in enumerate(parts(text, model))
        )

    def horizons(self, text: Prepared, model: LanguageModel) -> tuple[Horizon, ...]:
        """The futures of the horizon curve."""
        if not self.horizon:
            return ()
        key = Key(self.seed).child("horizon")
        return tuple(
            Horizon(
                **part,
                length=self.horizon,
                num=self.horizon_futures,
                stride=self.horizon_stride,
                key=key.child(number),
            )
            for number, part in enumerate(parts(text, model))
        )


POSITIONS, STRETCHES = 512, 12  # of one request; a local model holds keys and values of sixteen trees at once


def parts(text: Prepared, model: LanguageModel) -> list[dict[str, Any]]:
    """Stretches in handfuls of about POSITIONS scored positions, as arguments of a request."""
    handfuls: list[list[int]] = []
    count = POSITIONS
    for number, stretch in enumerate(text.stretches):
        if count >= POSITIONS or len(handfuls[-1]) == STRETCHES:
            handfuls.append([])
            count = 0
        handfuls[-1].append(number)
        count += stretch.row.size - stretch.begin
    return [
        {
            "lead": text.lead,
            "rows": tuple(text.stretches[i].row for i in handful),
            "begin": np.array([text.stretches[i].begin for i in handful], np.int64),
            "vocabulary": model.codec.vocabulary_size,
        }
        for handful in handfuls
    ]
