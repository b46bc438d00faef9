"""Winnow applies selection to language models and accounts for what it did.

    import winnow as wn
    model = wn.load("bundled")
    run = wn.adapt(model, wn.task("examples/facts/task.yaml"), seed=0)
    print(run.table())

Nothing happens on import: the names below are fetched when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from winnow import api as api
    from winnow.adaption.task import Task as Task
    from winnow.api import Run as Run
    from winnow.api import adapt as adapt
    from winnow.api import resume as resume
    from winnow.api import retract as retract
    from winnow.api import task as task
    from winnow.direct import complete as complete
    from winnow.direct import logprob as logprob
    from winnow.loading import load as load
    from winnow.lookahead.amplify import amplify as amplify
    from winnow.search.call import search as search
    from winnow.values.errors import WinnowError as WinnowError

__version__ = "0.1.0"

_HOME = {
    "Run": "winnow.api",
    "Task": "winnow.adaption.task",
    "WinnowError": "winnow.values.errors",
    "adapt": "winnow.api",
    "amplify": "winnow.lookahead.amplify",
    "complete": "winnow.direct",
    "load": "winnow.loading",
    "logprob": "winnow.direct",
    "resume": "winnow.api",
    "retract": "winnow.api",
    "search": "winnow.search.call",
    "task": "winnow.api",
}
__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'winnow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*_HOME, "__version__"]
