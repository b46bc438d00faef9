"""Stores for tests: a run made by hand, so that a journal can stand on it."""

from __future__ import annotations

import sqlalchemy as sa

from winnow.runs.schema import runs
from winnow.runs.store import Store


def with_run(store: Store, run: str = "run") -> Store:
    """The store with a run of that id, made unless it is there."""
    with store.write() as connection:
        if connection.execute(sa.select(runs.c.id).where(runs.c.id == run)).first() is None:
            row = {"id": run, "settings": "{}", "source": "{}", "status": "running", "message": "", "created": 0.0}
            connection.execute(sa.insert(runs), row)
    return store
