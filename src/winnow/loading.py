"""Floor 7: model strings, searches in front of models included: ``bundled``, a directory, a hub id, ``bundled+beam:8``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.values.errors import InputError, nearest

if TYPE_CHECKING:
    from winnow.ports.requests import LanguageModel

SIZES: Mapping[str, str] = {"beam": "width", "best-of-n": "num", "mcts": "simulations", "smc": "particles"}


def load(name: str, **local: Any) -> LanguageModel:
    """A language model by name, as ``winnow.models.load.load``; a search behind a ``+`` writes its completions.

    ``MODEL+SEARCH``, ``MODEL+SEARCH:SIZE`` or ``MODEL+SEARCH:KEY=VALUE,...``: the size is beam's width, best-of-n's number,
    SMC's particles, or the simulations of MCTS; keys are the search's settings and ``evaluator``. What such a model
    completes is what the search prefers (``winnow.search.searching``).

    Parameters
    ----------
    local : device, dtype, batch_size, trust_remote_code; see there.

    Raises
    ------
    InputError
        When there is no such model, search or setting; it names the nearest.
    CapabilityError
        When it is not a causal model, or cannot be batched.
    """
    from winnow.models.load import load as load_plain

    base, plus, spec = name.partition("+")
    if not plus or Path(name).exists():
        return load_plain(name, **local)
    from winnow.search.searching import Searching

    program, evaluator, settings = parse(spec)
    return Searching(
        load_plain(base, **local), program, evaluator=evaluator, source={"name": name, **local}, **settings
    )


def parse(spec: str) -> tuple[str, str | None, dict[str, Any]]:
    """The search, evaluator and settings that stand behind a ``+``.

    >>> parse("beam:3,length_exponent=1")
    ('beam', None, {'width': 3, 'length_exponent': 1.0})
    """
    from winnow.search.call import named, settings_of

    program, _, rest = spec.partition(":")
    known = {
        key: type(one.default)
        for key, one in settings_of(named(program)).items()
        if type(one.default) in (int, float, str)
    }
    settings: dict[str, Any] = {}
    evaluator = None
    for part in (part for part in rest.split(",") if part):
        key, equals, value = part.partition("=")
        key, value = (
            (key.strip().replace("-", "_"), value) if equals else (SIZES.get(program.replace("_", "-"), ""), part)
        )
        if key == "evaluator":
            evaluator = value
            continue
        if key not in known:
            raise InputError(f"{program} takes no {key or part!r} here", where=f"+{spec}", remedy=nearest(key, known))
        try:
            settings[key] = known[key](value)
        except ValueError:
            raise InputError(
                f"{key} is {value!r}, and not of type {known[key].__name__}", where=f"+{spec}", remedy="e.g. +beam:8"
            ) from None
    return program, evaluator, settings
