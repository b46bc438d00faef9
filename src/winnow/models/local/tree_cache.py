"""Keys and values for token trees: each distinct text below a tree's prompts is fed once.

Below the prompts a search's nodes form a trie: a node is its parent's text and a token. Trees are told apart by what they
say - prompts, parents, tokens - never by being the same object, so a tree that grew finds its nodes again, a tree forked
from an earlier state finds those it shares, and two nodes that spell one text are fed once. A tree of roots alone begins
anew, so that a search does not depend on the one before it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch

from winnow.models.local.branches import Branches
from winnow.models.local.cache import Store, growth
from winnow.models.local.memory import Memory
from winnow.models.local.network import Network
from winnow.models.local.stem import Stem
from winnow.models.local.trie import STEM_END, shared_length
from winnow.values.logspace import IntArray
from winnow.values.tree import NO_PARENT, Tree

TREES = 16  # held at most
FEW, MANY, LAID_OUT = 64, 2**14, 2**29  # slots laid out for a tree at first, and most bytes
_UNFED = -2


class TreeCache:
    """What was fed for one lineage of trees with the same prompts.

    Parameters
    ----------
    prompts : of the roots; their common beginning becomes the stem, the rest the trie's first chains.
    before : a lineage of these prompts, which ends when this one is fed, and whose buffers this one grows in.
    """

    def __init__(self, prompts: tuple[tuple[int, ...], ...], before: TreeCache | None = None) -> None:
        self.prompts, self.before = prompts, before
        self.shared = shared_length(prompts)
        self._child: dict[tuple[int, int], int] = {}
        self._above: list[int] = [NO_PARENT]  # of each text in the trie; text 0 is the stem
        self._token: list[int] = [NO_PARENT]
        self._length: list[int] = [self.shared]
        self._place: list[int] = [STEM_END]  # where it was fed, _UNFED if it was not
        self.roots = [self._spell(prompt[self.shared :]) for prompt in prompts]
        num = len(prompts)
        self._parents, self._tokens = np.full(num, NO_PARENT), np.full(num, NO_PARENT)
        self._texts = np.array(self.roots, np.int64)
        self.branches: Branches | None = None
        self._store: Store | None = None  # to grow in, where the lineage before has left one
        self._hidden = torch.empty(0)

    # ---- which text a node is

    def agreement(self, tree: Tree) -> int:
        """How many of a tree's first nodes are those of the tree seen last."""
        num = min(len(tree), self._texts.size)
        differs = (tree.parent[:num] != self._parents[:num]) | (tree.token[:num] != self._tokens[:num])
        return int(differs.argmax()) if differs.any() else num

    def texts(self, tree: Tree) -> IntArray:
        """The text that each node of a tree is: ``[N]``."""
        same, num = self.agreement(tree), len(tree)
        if same == num <= self._texts.size:
            return self._texts[:num]
        parents, tokens = tree.parent, tree.token
        known = self._texts[np.minimum(parents[same:], same - 1)].tolist()  # of parents seen before
        new: list[int] = []
        for text, above, token in zip(known, parents[same:].tolist(), tokens[same:].tolist(), strict=True):
            new.append(self._text(text if above < same else new[above - same], token))
        self._parents, self._tokens = parents, tokens
        self._texts = np.concatenate([self._texts[:same], np.array(new, np.int64)])
        return self._texts

    def lengths(self, texts: IntArray) -> IntArray:
        """Tokens of texts, the prompt included."""
        return np.array([self._length[text] for text in texts.tolist()], np.int64)

    def sequence(self, text: int) -> list[int]:
        """Tokens of a text behind the stem."""
        tokens = []
        while text:
            tokens.append(self._token[text])
            text = self._above[text]
        return tokens[::-1]

    def _text(self, above: int, token: int) -> int:
        key = (above, token)
        text = self._child.get(key)
        if text is None:
            text = self._child[key] = len(self._above)
            self._above.append(above)
            self._token.append(token)
            self._length.append(self._length[above] + 1)
            self._place.append(_UNFED)
        return text

    def _spell(self, tokens: tuple[int, ...]) -> int:
        text = 0
        for token in tokens:
            text = self._text(text, token)
        return text

    # ---- what was fed

    @property
    def only_roots(self) -> bool:
        """Whether no tree with anything written was seen."""
        return self._texts.size == len(self.prompts)

    def missing(self, texts: IntArray) -> list[int]:
        """Texts that must be fed before these can be read, ancestors first."""
        needed: set[int] = set()
        for text in texts.tolist():
            while self._place[text] == _UNFED and text not in needed:
                needed.add(text)
                text = self._above[text]
        return sorted(needed)  # a text has a higher number than the one above it

    def feed(self, network: Network, stem: Callable[[], Stem], missing: list[int]) -> None:
        """Feed texts that ``missing`` named."""
        if self.branches is None:
            # a small tree would hold on to large spare buffers
            store = self._store or Store(network.num_layers, _slots_at_first(network))
            self.branches, self._store = Branches(network, stem(), store), None
        if not missing:
            return
        first = self.branches.num
        for place, text in enumerate(missing, first):
            self._place[text] = place
        try:
            hidden = self.branches.feed(
                [self._token[text] for text in missing], [self._place[self._above[text]] for text in missing]
            )
        except BaseException:
            self.forget()
            raise
        if first + len(missing) > self._hidden.shape[0]:
            grown = hidden.new_empty((max(64, growth(hidden) * (first + len(missing))), hidden.shape[1]))
            if first:
                grown[:first] = self._hidden[:first]
            self._hidden = grown
        self._hidden[first : first + len(missing)] = hidden

    def hidden(self, texts: IntArray) -> torch.Tensor:
        """Last hidden states of texts that were fed: ``[M, d]``."""
        assert self.branches is not None
        places = [self._place[text] for text in texts.tolist()]
        if STEM_END not in places:
            return self._hidden[self.branches.network.tensor(places)]
        assert self.branches.stem.hidden is not None
        return torch.stack([self.branches.stem.hidden if at == STEM_END else self._hidden[at] for at in places])

    def take_over(self) -> None:
        """End the lineage before this one, and grow in its buffers: fresh memory costs more than what is written to it."""
        before, self.before = self.before, None
        if before is None:
            return
        store = before._store if before.branches is None else before.branches.store
        before.forget()
        if store is not None:
            self._store, store.used = store, 0

    def forget(self) -> None:
        """Give up keys and values; the next request feeds again what it needs."""
        self.branches, self._store, self._hidden = None, None, torch.empty(0)
        self._place = [STEM_END] + [_UNFED] * (len(self._above) - 1)

    @property
    def size(self) -> int:
        """Tokens of the stem, and those fed behind it."""
        return self.shared + (0 if self.branches is None else self.branches.num)

    @property
    def nbytes(self) -> int:
        """Bytes laid out."""
        branches = self.branches
        if branches is None:
            return 0 if self._store is None else self._store.nbytes
        hidden = self._hidden[: branches.num] if self._hidden.is_cpu else self._hidden
        return branches.nbytes + branches.stem.store.nbytes + hidden.nbytes


def _slots_at_first(network: Network) -> int:
    """Slots to lay out for a tree: many on a CPU, so that few trees are moved; memory is taken as they are written, where
    the system hands it out so (addresses are taken at once, which a limit on them counts)."""
    if network.device.type != "cpu" or not network.token_bytes:
        return FEW
    return max(FEW, min(MANY, LAID_OUT // network.token_bytes))


class Trees:
    """One lineage for each set of prompts, the longest unused given up first.

    Parameters
    ----------
    memory : what bounds them.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._held: OrderedDict[tuple[tuple[int, ...], ...], TreeCache] = OrderedDict()

    def find(self, tree: Tree) -> TreeCache:
        """The lineage a tree belongs to; a new one for roots alone when the present one has grown."""
        cache = self._held.pop(tree.prompts, None)
        if cache is None or (len(tree) == len(tree.prompts) and not cache.only_roots):
            if cache is not None and cache.before is not None:  # it was never fed
                self._drop(cache.before)
                cache.before = None
            cache = TreeCache(tree.prompts, cache)
        self._held[tree.prompts] = cache
        while len(self._held) > TREES:
            _, oldest = self._held.popitem(last=False)
            self._leave(oldest)
        return cache

    def begin(self, cache: TreeCache) -> None:
        """Told before a lineage is fed: the one before it, which may have been asked for in the same call, ends."""
        if cache.before is not None:
            self.memory.release(cache.before)
            cache.take_over()
            self.hold(cache)

    def hold(self, cache: TreeCache) -> None:
        """Tell the memory how much a lineage holds now."""
        self.memory.hold(cache, cache.nbytes, lambda: self._drop(cache))

    def _leave(self, cache: TreeCache) -> None:
        """Give up a lineage and the one it would have ended, its buffers to whoever comes next."""
        branches = cache.branches
        self._drop(cache)
        if cache.before is not None:
            self._drop(cache.before)
            cache.before = None
        if branches is not None:
            branches.release()

    def _drop(self, cache: TreeCache) -> None:
        cache.forget()
        self.memory.release(cache)
