"""What a search over token sequences returns, and what its notes carry on the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.values.lineage import Lineage
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.population import Population
from winnow.values.tree import NO_PARENT, Tree


@dataclass(frozen=True, kw_only=True)
class Found:
    """Nodes of a tree, and the population they are.

    ``population.individuals`` are the nodes as plain numbers; a beam's ``log_weight`` is its log-probability, a particle's
    its importance weight. A note's ``info["found"]`` is the search's result had it been stopped there.
    """

    tree: Tree
    nodes: IntArray  # [N]; a beam's from the best down, a particle's by slot
    logprob: FloatArray  # [N] natural log-probability under the model, from the node the search began at
    finished: NDArray[np.bool_]  # [N] ended with an end token, rather than by depth
    population: Population
    log_evidence: float | None = None  # log of the estimated normalising constant, where the search estimates one
    rank: FloatArray | None = None  # [N] what the search prefers by, the higher the better; None: by ``logprob``
    visits: FloatArray | None = None  # [nodes of the tree] how much each was looked at, where the search counts it

    @property
    def best(self) -> int:
        """The position of the one the search prefers, the first of equals."""
        return int(np.argmax(self.logprob if self.rank is None else self.rank))

    @property
    def lineage(self) -> Lineage:
        """Descent in the tree: every node has its one parent, roots have none."""
        child = np.flatnonzero(self.tree.parent != NO_PARENT).astype(np.int64)
        return Lineage(child=child, parent=self.tree.parent[child], share=np.ones(child.size))
