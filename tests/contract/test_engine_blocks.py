"""Blocks of branches whose rows are fed in parts: each query sees the past that is its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.contract.test_engine import Tiny, letters, one, open_model, plain
from winnow.models.local import attention
from winnow.models.local.network import Network
from winnow.models.local.view import View
from winnow.ports.requests import NextToken
from winnow.values.tree import Tree


@pytest.mark.parametrize("together", [10, 12])
def test_a_row_that_is_fed_in_parts_sees_each_parts_own_past(
    together: int, tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new block below branches that differ, its rows cut into parts (of one size: 12): each part has a mask of its own.

    Once the first part's mask served them all: wrong without a word where parts were of one size, else an error.
    """
    monkeypatch.setattr("winnow.models.local.branches.TOGETHER", together)
    model = open_model(tiny_model("llama"))
    tree = Tree([model.codec.encode(letters(40, 3))])
    tree, first = tree.append(np.zeros(24, np.int64), 5 + np.arange(24) % 12, np.zeros(24))
    tree, early = tree.append(first, 5 + np.arange(24) // 12, np.zeros(24))
    one(model, NextToken(tree=tree, nodes=early))
    tree, elsewhere = tree.append(early[:1].repeat(24), 5 + np.arange(24) % 12, np.zeros(24))
    one(model, NextToken(tree=tree, nodes=elsewhere))
    nodes = early
    for step in range(3):
        tree, nodes = tree.append(nodes, 17 + (np.arange(24) + step) % 3, np.zeros(24))
        reply = one(model, NextToken(tree=tree, nodes=nodes))
        expected = plain(model, [tree.sequence(int(node)) for node in nodes])
        np.testing.assert_allclose(reply.logprob, expected, atol=1e-4, rtol=0)


def test_a_part_of_a_row_costs_its_own_groups_and_past(tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Branches below every node of a chain, twelve a pass: no pass goes over groups or columns that none of its own see."""
    monkeypatch.setattr("winnow.models.local.branches.TOGETHER", 12)
    model, views = open_model(tiny_model("llama")), list[View]()
    trunk = Network.trunk

    def watched(self: Network, tokens: Any, positions: Any, view: View, *read: Any) -> Any:
        views.append(view)
        return trunk(self, tokens, positions, view, *read)

    tree, chain = Tree([model.codec.encode("ab")]), [0]
    for token in 5 + np.arange(23) % 12:
        tree, (node,) = tree.append(np.array(chain[-1:]), [token], [0.0])
        chain.append(int(node))
    one(model, NextToken(tree=tree, nodes=np.array(chain)))
    monkeypatch.setattr(Network, "trunk", watched)
    nodes = np.array(chain).repeat(2)
    for step in range(3):
        tree, nodes = tree.append(nodes, 17 + (np.arange(48) + step) % 3, np.zeros(48))
        reply = one(model, NextToken(tree=tree, nodes=nodes))
    expected = plain(model, [tree.sequence(int(node)) for node in nodes])
    np.testing.assert_allclose(reply.logprob, expected, atol=1e-4, rtol=0)
    assert [view.block and view.block.groups for view in views] == [6] * 12  # of two rows each
    spans = [sum(end - start for _, start, end in view.seen) for view in views]
    assert spans == [5, 11, 17, 23] * 3


def test_sums_row_by_row_are_the_products(tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of 1 to 40 below one prompt, past every length at which sums give way to products and parts are joined."""
    model, low, said = open_model(tiny_model("gpt2")), attention._is_low, set[bool]()
    monkeypatch.setattr(attention, "PLAIN", 40)

    def watched(grid: torch.Tensor, values: torch.Tensor, rows: int) -> bool:
        said.add(low(grid, values, rows))
        return low(grid, values, rows)

    monkeypatch.setattr(attention, "_is_low", watched)
    tree, nodes = Tree([model.codec.encode("ab")]), np.zeros(17, np.int64)
    for step in range(40):
        tree, nodes = tree.append(nodes, 3 + (np.arange(17) + step) % 17, np.zeros(17))
        reply = one(model, NextToken(tree=tree, nodes=nodes))
        if step % 4 == 3 or step in (16, 17, 32, 33):
            expected = plain(model, [tree.sequence(int(node)) for node in nodes])
            np.testing.assert_allclose(reply.logprob, expected, atol=1e-4, rtol=0)
    assert said == {True, False}
