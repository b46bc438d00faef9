"""What depth 1 can do at most: a model's own first tokens mixed in, no future looked at. What is beyond it is lookahead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from winnow.lookahead.fit import Base, Found, Mixture, apply, fit, mixed_base
from winnow.lookahead.look import Looks
from winnow.lookahead.settings import StudySettings
from winnow.lookahead.table import Setting, settings_of


def shallow(looks: Looks, settings: StudySettings, bases: Sequence[Base], here: np.ndarray, *, beside: Setting) -> Base:
    """The best of ``bases``, alone or with beams of depth 1 mixed in, for the positions ``here``.

    Chosen and fitted there; the result is a distribution at every position. The beams are as wide as those of the setting
    ``beside`` which this is put; the widest beside (5).
    """
    width = beside.width if beside.family == "beams" else max(settings.widths)
    tries: list[tuple[float, Base, Found | None, Mixture]] = []
    for base in bases:
        mine = base.take(here)
        tries.append((float(mine.true.mean()), base, None, Mixture("linear", 0.0, 0.0)))
        for setting, found, _ in settings_of(looks, settings):
            if (setting.family, setting.depth, setting.width) == ("beams", 1, width):
                inside = found.take(here)
                mixture = fit(mine, inside, setting.mixing)
                tries.append((float(apply(mine, inside, mixture).mean()), base, found, mixture))
    _, best, found_there, mixture = max(tries, key=lambda one: one[0])
    return best if found_there is None else mixed_base(best, found_there, mixture)
