"""The token tree: growing one tree never changes another, however they share what they hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.values.tree import NO_PARENT, NO_TOKEN, Tree

PROMPTS = st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=3)


@given(PROMPTS, st.data())
def test_any_tree_may_be_grown_in_any_order_and_keeps_what_it_held(prompts, data):
    """A model: each tree as a plain list of rows, beside the real thing; forks grow from any earlier tree."""
    real, plain = [Tree(prompts)], [[(NO_PARENT, NO_TOKEN, 0.0)] * len(prompts)]
    for _ in range(data.draw(st.integers(1, 12))):
        which = data.draw(st.integers(0, len(real) - 1))
        size = len(plain[which])
        rows = data.draw(
            st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, 9), st.floats(-5, 0)), min_size=1, max_size=20)
        )
        grown, nodes = real[which].append(*map(np.array, zip(*rows)))
        assert nodes.tolist() == list(range(size, size + len(rows)))
        real.append(grown)
        plain.append(plain[which] + rows)
    for tree, rows in zip(real, plain):
        assert len(tree) == len(rows)
        assert list(zip(tree.parent.tolist(), tree.token.tolist(), tree.logprob.tolist())) == rows
        for node in range(len(rows)):
            path, above = [], node
            while rows[above][0] != NO_PARENT:
                path.insert(0, above)
                above = rows[above][0]
            assert tree.path(node) == path
            assert tree.root(node) == above
            assert tree.tokens(node) == [rows[one][1] for one in path]
            assert tree.sequence(node) == [*prompts[above], *tree.tokens(node)]
            assert tree.path_logprob(node)[0] == pytest.approx(sum(rows[one][2] for one in path))


def test_growing_by_one_token_at_a_time_reaches_the_tokens_given():
    tree, node = Tree([[7]]), np.array([0])
    for token in range(100):
        tree, node = tree.append(node, [token], [-0.5])
    assert tree.sequence(int(node[0])) == [7, *range(100)]
    assert tree.path_logprob(node)[0] == pytest.approx(-50.0)


def test_columns_cannot_be_written_to():
    tree, _ = Tree([[1]]).append([0], [2], [-1.0])
    for column in (tree.parent, tree.token, tree.logprob):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 5


def test_a_parent_outside_the_tree_is_refused():
    tree = Tree([[1]])
    grown, _ = tree.append([0], [2], [-1.0])
    for parent in (1, -1):
        with pytest.raises(ValueError, match="node of this tree"):
            tree.append([parent], [3], [-1.0])  # 1 is a node of the grown tree, not of this one
    with pytest.raises(ValueError, match="alike"):
        grown.append([0, 1], [3], [-1.0])
    assert len(tree) == 1
