"""Price tables: what calls and tokens of a model cost in money.

currency: EUR
models:
  bundled: {prompt: 0.15, new: 0.60}            # per million tokens
  owner/name: {call: 0.001, prompt: 2, new: 8}  # call: per row asked
  "*": {prompt: 1, new: 1}                      # everything else
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

from winnow.ports.requests import Price
from winnow.values.errors import InputError, nearest
from winnow.values.records import read_text

_KEYS = ("call", "prompt", "new")


class Prices(NamedTuple):
    """A price table, read."""

    path: str
    currency: str
    models: dict[str, Price]

    def of(self, model: str) -> Price:
        """The price of a model by the name it is loaded by, its last part, or ``*``.

        Raises
        ------
        InputError
            When the table has none.
        """
        for name in (model, Path(model).name, "*"):
            if name in self.models:
                return self.models[name]
        raise InputError(
            f"has no price for {model!r}", where=self.path, remedy=f"{nearest(model, self.models)}; or a price for '*'"
        )


def read_prices(path: Path) -> Prices:
    """Read a price table.

    Raises
    ------
    InputError
        When it is not YAML or not such a table; names the model and the key.
    """
    try:
        table = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"is not YAML: {' '.join(str(error).split())}", where=str(path)) from None
    if not isinstance(table, dict) or not isinstance(table.get("models"), dict):
        raise InputError("has no 'models'", where=str(path), remedy="models: {name: {prompt: 0.15, new: 0.60}}")
    models = {}
    for name, price in table["models"].items():
        where = f"{path}: {name}"
        if not isinstance(price, dict):
            raise InputError("is no price", where=where, remedy="{call: 0, prompt: 0.15, new: 0.60}")
        for key, value in price.items():
            if key not in _KEYS:
                raise InputError(f"unknown key {key!r}", where=where, remedy=nearest(str(key), _KEYS))
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise InputError(f"{key} must be a number from 0 up, not {value!r}", where=where)
        call, prompt, new = (float(price.get(key, 0.0)) for key in _KEYS)
        models[str(name)] = Price(call, prompt / 1e6, new / 1e6)
    return Prices(str(path), str(table.get("currency", "")), models)
