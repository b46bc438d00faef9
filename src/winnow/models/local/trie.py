"""Token rows behind a stem as one trie: no token of it stands twice.

Nodes that several rows share come first, each row's own after them, so that the own ones can grow side by side. Knows
numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

STEM_END = -1
_SHARED = -1


class Nodes(NamedTuple):
    """Nodes to feed, parents (places, STEM_END for the stem) before children."""

    tokens: list[int]
    parents: list[int]
    groups: list[int]  # the row a node belongs to


class Trie(NamedTuple):
    """Rows as nodes; places count the shared nodes first, then the own."""

    shared: Nodes  # their groups mean nothing
    own: Nodes
    paths: list[list[list[int]]]  # for each row the places of its head's nodes, then those of each tail's

    @property
    def size(self) -> int:
        """Nodes in all."""
        return len(self.shared.tokens) + len(self.own.tokens)

    def end(self, row: int) -> int:
        """The place a row's head ends at."""
        head = self.paths[row][0]
        return head[-1] if head else STEM_END

    @classmethod
    def of(cls, heads: Sequence[Sequence[int]], length: int, tails: Sequence[Sequence[Sequence[int]]] = ()) -> Trie:
        """The trie of rows that all begin with the same ``length`` tokens, with any number of tails behind each.

        >>> Trie.of([[1, 2], [1, 3]], 0)[:2]
        (Nodes(tokens=[1], parents=[-1], groups=[-1]), Nodes(tokens=[2, 3], parents=[0, 0], groups=[0, 1]))
        """
        number: dict[tuple[int, int], int] = {}  # of (node above, token), in order of appearance
        owner: list[int] = []

        def walk(above: int, tokens: Sequence[int], row: int) -> list[int]:
            path = []
            for token in tokens:
                above = number.setdefault((above, token), len(owner))
                if above == len(owner):
                    owner.append(row)
                elif owner[above] != row:
                    owner[above] = _SHARED
                path.append(above)
            return path

        paths: list[list[list[int]]] = []
        for row, head in enumerate(heads):
            whole = walk(STEM_END, head[length:], row)
            end = whole[-1] if whole else STEM_END
            paths.append([whole, *(walk(end, tail, row) for tail in (tails[row] if tails else ()))])
        place = [0] * len(owner)
        parts = Nodes([], [], []), Nodes([], [], [])
        for part, nodes in enumerate(parts):
            for (above, token), node in number.items():
                if (owner[node] == _SHARED) == (part == 0):
                    place[node] = len(parts[0].tokens) * part + len(nodes.tokens)
                    nodes.tokens.append(token)
                    nodes.parents.append(STEM_END if above == STEM_END else place[above])
                    nodes.groups.append(owner[node])
        return cls(*parts, [[[place[node] for node in path] for path in many] for many in paths])


def shared_length(rows: Sequence[tuple[int, ...]]) -> int:
    """How many tokens all rows begin with."""
    one, other = min(rows), max(rows)  # in the order of words, the first and the last differ soonest
    same, most = 0, min(len(one), len(other))
    if one[:most] == other[:most]:
        return most
    while most - same > 1:  # the first ``same`` tokens are, the first ``most`` are not
        middle = (same + most) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            most = middle
    return same
