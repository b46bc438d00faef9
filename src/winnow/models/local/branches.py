"""Tokens that grow behind one stem: fed once, addressed by place, arranged so that attention stays a few products.

A place is a token that was fed, numbered in order; STEM_END is the stem's own. What a place attends to is its path: the
slots of its ancestors and its own. Reordering, forking and dying move paths, never keys and values. Places that grow side
by side - one chain a completion, one beam a position - share a block of groups; whatever does not fit a block is attended
to under a mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from winnow.models.local.arrangement import Arrangement, Part
from winnow.models.local.cache import Store
from winnow.models.local.living import Living, Paths, columns, needed, num_columns, runs
from winnow.models.local.network import Network
from winnow.models.local.stem import Stem
from winnow.models.local.trie import STEM_END
from winnow.models.local.view import Block, View
from winnow.values.logspace import IntArray

TOGETHER = 512  # tokens a pass
SCORES = 2**24  # attention scores a pass and layer
FEW, SMALL = 16, 2**14  # queries, and queries times slots, that are not worth a block
LEAST, DEAD = 64, 1.5  # slots that are not worth leaving the dead behind; how many times the living they must be

EMPTY, EMPTY_KNOWN = 2, 3  # a block's rows may be so many times as large as what stands in them; where groups are known


class Branches:
    """Keys and values of everything that grows behind a stem.

    Parameters
    ----------
    network : what feeds.
    stem : what every place sees whole.
    store : where keys and values go, from its first slot on.
    together : tokens a pass.
    """

    def __init__(self, network: Network, stem: Stem, store: Store, together: int | None = None) -> None:
        self.network, self.stem, self.store = network, stem, store
        self.together = together or TOGETHER
        self.num = 0
        self.depth = np.empty(0, np.int64)  # [num], 1 just behind the stem
        self.path = np.empty((0, 0), np.int32)  # [num, deepest], slots from the stem down, -1 where it has ended
        self.group = np.empty(0, np.int64)  # [num], in the present block; -1 outside it
        self.slots = 0  # laid out
        self.start, self.groups, self.rows = 0, 0, 0  # the present block; groups 0: none
        self._solid = True  # one chain a group, none missing: every row is seen
        self._before: torch.Tensor | None = None  # mask of a solid block's queries before it
        self._living: Living | None = None  # what is still seen before the block, or before what was fed lately

    @classmethod
    def new(cls, network: Network, stem: Stem, capacity: int, together: int | None = None) -> Branches:
        """Empty ones, with room for ``capacity`` slots at first; more are found when needed."""
        return cls(network, stem, network.spare.take(network.num_layers, capacity), together)

    @property
    def nbytes(self) -> int:
        """Bytes laid out behind the stem."""
        return self.store.nbytes + (0 if self._living is None else self._living.store.nbytes)

    def release(self) -> None:
        """Leave the buffers to whoever comes next: these branches are done with."""
        self.network.spare.give(self.store)

    def feed(
        self,
        tokens: Sequence[int] | IntArray,
        parents: Sequence[int] | IntArray,
        groups: Sequence[int] | None = None,
        read: Sequence[int] | IntArray | None = None,
    ) -> torch.Tensor:
        """Feed tokens ``[n]`` below places ``[n]``; hidden states ``[n, d]``. They become places ``num ..``.

        A parent may be among the new, before its children. ``groups`` ``[n]`` says who grows side by side from here on,
        when it is known; no place may then descend from a new one of another group. ``read`` names different new ones,
        counted from 0, whose states alone are wanted, in this order.
        """
        token, parent = np.asarray(tokens, np.int64), np.asarray(parents, np.int64)
        first, size = self.num, token.size
        level = self._enter(parent)
        plan = self._arrange(parent, first, None if groups is None else np.asarray(groups, np.int64))
        own = np.empty(size, np.int64)
        own[plan.order] = plan.slot
        self._descend(parent, first, level, own)
        before, self.slots = self.slots, max(self.slots, plan.end)
        self.store.reserve(self.slots)
        if not (self.groups and self._solid and self.rows > 1):  # a solid block's rows see what its first saw
            self._leave_the_dead(self.path[first : self.num], self.start if self.groups else before)
        seen = num_columns(self._living, self.start if self.groups else self.slots) + self.rows
        columns = max(1, (self.stem.length + seen) * self.network.num_heads)
        parts = plan.parts(max(1, min(self.together, SCORES // columns)))
        unwritten = plan.unwritten(parts)
        if unwritten.size:
            self.store.clear(self.network.tensor(unwritten))
        wanted = np.arange(size) if read is None else np.asarray(read, np.int64)
        place = np.full(size, -1, np.int64)  # of each new one among those that are read
        place[wanted] = np.arange(wanted.size)
        hidden = [self._pass(token, first, plan, part, place[plan.order[part]] >= 0) for part in parts]
        together = hidden[0] if len(hidden) == 1 else torch.cat(hidden)
        came = place[np.concatenate([plan.order[part] for part in parts])]
        came = came[came >= 0]
        if np.array_equal(came, np.arange(wanted.size)):
            return together
        return together[self.network.tensor(np.argsort(came))]

    def keep(self, places: Sequence[int] | IntArray) -> Branches:
        """Branches that hold the paths to ``places`` (which become places and groups ``0 ..`` in this order) and no others.

        What stands before the present block stays as it is; of the block only these paths are kept. They take over the
        buffers, so that nothing stands in memory twice: these branches are done with.
        """
        place = np.asarray(places, np.int64)
        size, base = place.size, self.start if self.groups else 0
        path = self.path[place, : int(self.depth[place].max())]
        before = ((path >= 0) & (path < base)).sum(axis=1)
        rows = int((self.depth[place] - before).max())
        column = before[:, None] + np.arange(rows)
        inside = column < self.depth[place][:, None]
        block = np.where(inside, np.take_along_axis(path, np.minimum(column, path.shape[1] - 1), axis=1), -1)
        other = Branches(self.network, self.stem, self.store, self.together)
        other.store.replace(base, self.network.tensor(block.T.ravel()))
        other.path = np.where(path < base, path, -1)
        there = base + np.arange(rows) * size + np.arange(size)[:, None]
        for index in range(size):  # a row's block part stands right behind its part before it
            own = int(self.depth[place[index]] - before[index])
            other.path[index, before[index] : before[index] + own] = there[index, :own]
        other.num, other.depth, other.group = size, self.depth[place], np.arange(size)
        other.slots, other.start, other.groups, other.rows = base + block.size, base, size, rows
        other._solid = bool(inside.all())
        return other

    # ---- who descends from whom

    def _enter(self, parent: IntArray) -> list[IntArray]:
        """Make room for new places; which of them stand at each level of this feed, the first level's parents being old."""
        first, size = self.num, parent.size
        self.num += size
        if self.num > self.depth.size:
            room = max(64, 2 * self.num)
            for name in ("depth", "group"):
                grown = np.full(room, -1, np.int64)
                grown[:first] = getattr(self, name)[:first]
                setattr(self, name, grown)
            taller = np.empty((room, self.path.shape[1]), np.int32)
            taller[:first] = self.path[:first]
            self.path = taller
        inside = parent >= first
        if not inside.any():
            self.depth[first : self.num] = np.where(parent > STEM_END, self.depth[parent], 0) + 1
            return [np.arange(size)]
        level = [0] * size
        for index, above in enumerate((parent - first).tolist()):
            if above >= 0:
                level[index] = level[above] + 1
        levels = np.array(level)
        order = np.argsort(levels, kind="stable")
        by_level = np.split(order, np.cumsum(np.bincount(levels))[:-1])
        for members in by_level:
            above = parent[members]
            self.depth[first + members] = np.where(above > STEM_END, self.depth[above], 0) + 1
        return by_level

    def _descend(self, parent: IntArray, first: int, levels: list[IntArray], own: IntArray) -> None:
        """Write the paths of new places, whose slots are ``own``."""
        deepest = int(self.depth[first : self.num].max())
        if deepest > self.path.shape[1]:
            wider = np.empty((self.path.shape[0], max(16, deepest + deepest // 8)), np.int32)
            wider[:first, : self.path.shape[1]] = self.path[:first]
            wider[:first, self.path.shape[1] :] = -1
            self.path = wider
        new = self.path[first : self.num]
        for members in levels:
            above = parent[members]
            if len(levels) == 1:  # without a copy on the way: a path is as long as its text
                np.take(self.path, above, axis=0, out=new, mode="wrap")
            else:
                new[members] = self.path[above]
            new[members[above == STEM_END]] = -1
            new[members, self.depth[first + members] - 1] = own[members]

    # ---- blocks

    def _arrange(self, parent: IntArray, first: int, given: IntArray | None) -> Arrangement:
        """Slots and groups of new places: in the present block if they fit, in a new one if that pays, else one by one."""
        size = parent.size
        group = self._inherit(parent, first, old=True) if self.groups and given is None else None
        if group is None or not _fits(group, self.groups, EMPTY_KNOWN):
            self.start, self.groups, self.rows = self.slots, 0, 0
            self.group[:first] = -1
            self._solid, self._before = True, None
            group = given
            if given is None and (size > FEW or size * num_columns(self._living, self.slots) > SMALL):
                group = self._inherit(parent, first, old=False)
            if group is not None:
                num = int(group.max()) + 1
                if num > 1 and _fits(group, num, EMPTY if given is None else EMPTY_KNOWN):
                    self.groups = num
        if not self.groups or group is None:
            self.group[first : self.num] = -1
            return Arrangement(np.arange(size), self.slots + np.arange(size))
        self.group[first : self.num] = group
        order, row = np.arange(size), np.zeros(size, np.int64)
        if size != self.groups or not np.array_equal(group, order):  # a step of every group is one row as it is
            by_group = np.argsort(group, kind="stable")
            row[by_group] = order - np.searchsorted(group[by_group], group[by_group])
            order = np.lexsort((group, row))
            row = row[order]
        width = int(row[-1]) + 1
        slot = self.start + (self.rows + row) * self.groups + group[order]
        self._solid = self._solid and width == 1 and size == self.groups and self._follows(parent[order], slot)
        self.rows += width
        return Arrangement(order, slot, row, self.start, self.groups, self.rows)

    def _inherit(self, parent: IntArray, first: int, *, old: bool) -> IntArray | None:
        """Groups of new places: their parents' in the present block, or (``old`` false) new ones.

        Below what stands before the present block a place may join any group, so it fills up the emptiest; None when that
        would be most of them. New groups go by parent; where all have the same one, each begins its own.
        """
        inside = parent >= first
        top = parent[~inside]
        if old:
            groups = np.where(top > STEM_END, self.group[top], -1)
            free = np.flatnonzero(groups < 0)
            if 2 * free.size > top.size:
                return None
            if free.size:
                count = np.bincount(groups[groups >= 0], minlength=self.groups)
                room = max(int(count.max()), -(-top.size // self.groups)) - count
                groups[free] = np.repeat(np.arange(self.groups), room)[: free.size]
        else:
            distinct, groups = np.unique(top, return_inverse=True)
            if distinct.size == 1:
                groups = np.arange(top.size)
        if not inside.any():
            return np.asarray(groups, np.int64)
        result = np.empty(parent.size, np.int64)
        result[~inside] = groups
        for index in np.flatnonzero(inside).tolist():
            result[index] = result[parent[index] - first]
        return result

    def _follows(self, parent: IntArray, slot: IntArray) -> bool:
        """Whether each place stands right behind its parent, or begins its group."""
        if not self.rows:
            return True
        behind = parent > STEM_END
        return bool((behind & (self.path[parent, self.depth[parent] - 1] == slot - self.groups)).all())

    def _pass(self, token: IntArray, first: int, plan: Arrangement, part: Part, read: np.ndarray) -> torch.Tensor:
        """One pass over some of the new places; hidden states of those to ``read`` ``[n]``, in the pass's order."""
        network = self.network
        order, slot = plan.order[part], plan.slot[part]
        places = first + order
        path = self.path[places, : int(self.depth[places].max())]
        follow = bool(slot[-1] - slot[0] == slot.size - 1) and (plan.row is None or bool((np.diff(slot) == 1).all()))
        view = View(
            queries=order.size,
            store=self.store,
            write_start=int(slot[0]),
            write_slots=None if follow else network.tensor(slot),
            stem=self.stem.store,
            stem_length=self.stem.length,
        )
        end = int(slot[-1]) + 1 if plan.row is None else self.start
        if plan.row is not None and order.size < plan.order.size and self._living is None:  # a part sees less
            end = int(path.max(where=path < end, initial=-1)) + 1
        view.seen = runs(self._living, self.store, end)
        if plan.row is not None:
            view.block = self._block(path, slot, plan.row[part])
        if view.seen:
            view.seen_mask = self._mask(path, end, lasting=plan.row is not None)
        positions = self.stem.length + self.depth[places] - 1
        wanted = None if read.all() else network.tensor(np.flatnonzero(read))
        return network.trunk(network.tensor(token[order]), network.tensor(positions), view, wanted)

    def _mask(self, path: Paths, end: int, *, lasting: bool) -> torch.Tensor:
        """``[n, columns]`` additive: zero where the first ``end`` slots are on each path.

        ``lasting``: the queries are a block's; what a solid one sees stays as it is from row to row.
        """
        lasting = lasting and self._solid and path.shape[0] == self.groups  # a pass over part of a row has others
        if lasting and self._before is not None:
            return self._before
        size = num_columns(self._living, end)
        column = columns(self._living, path, end)
        mask = np.full((path.shape[0], size + 1), -np.inf, np.float32)
        np.put_along_axis(mask, np.where(column < 0, size, column), 0.0, axis=1)
        result = torch.from_numpy(mask)[:, :-1].to(self.network.device, self.network.dtype)
        self._before = result if lasting else None
        return result

    def _leave_the_dead(self, path: Paths, end: int) -> None:
        """Gather what these paths see of the first ``end`` slots, when much of what stands there is dead."""
        seen = needed(path, end)
        if self._living is not None and not self._living.holds(seen):
            self._living, self._before = None, None
        if LEAST < num_columns(self._living, end) > DEAD * seen.size:
            self._living, self._before = Living(self.store, seen, end, self.network.device), None

    def _block(self, path: Paths, slot: IntArray, row: IntArray) -> Block:
        group = (slot - self.start) % self.groups
        low, high = int(row[0]), int(row[-1]) + 1
        width = high - low
        first, last = int(group.min()), int(group.max())
        groups = last + 1 - first
        place = (row - low) * groups + group - first
        exact = place.size == width * groups
        rows = int((slot[-1] - self.start) // self.groups) + 1
        mask = None
        if not self._solid:
            inside = np.where(path >= self.start, (path - self.start) // self.groups, rows)
            grid = np.full((width * groups, rows + 1), -np.inf, np.float32)
            whole = np.full((width * groups, inside.shape[1]), rows, np.int64)
            whole[place] = inside
            np.put_along_axis(grid, whole, 0.0, axis=1)
            shaped = grid[:, :-1].reshape(width, groups, rows).swapaxes(0, 1)
            mask = torch.from_numpy(np.ascontiguousarray(shaped)).to(self.network.device, self.network.dtype)
        return Block(
            start=self.start,
            stride=self.groups,
            first=first,
            groups=groups,
            rows=rows,
            width=width,
            place=None if exact else self.network.tensor(place),
            mask=mask,
        )


def _fits(group: IntArray, groups: int, limit: int) -> bool:
    """Whether not too many places of a grid would be empty."""
    return int(np.bincount(group, minlength=groups).max()) * groups <= limit * group.size
