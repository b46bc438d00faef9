"""What every backend around a backend says of itself: it is the inner one, with something more done on the way."""

from __future__ import annotations

from typing import Any

from winnow.ports.requests import Backend, Request


class Around:
    """Says that it is the backend it holds; how it answers is its own."""

    backend: Backend

    @property
    def identity(self) -> str:
        """The inner backend's."""
        return self.backend.identity

    @property
    def answers(self) -> frozenset[type[Request[Any]]]:
        """The inner backend's."""
        return self.backend.answers
