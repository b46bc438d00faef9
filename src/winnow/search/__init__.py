"""Floor 4: searches. One algorithm a file, each a program: it asks, it notes, it returns what it found.

The package can be called: ``winnow.search(model, prompt, "beam", width=8)`` is ``winnow.search.call.search``.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A module that is also the function its name promises."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from winnow.search.call import search

        return search(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
