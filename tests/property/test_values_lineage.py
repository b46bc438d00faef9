"""Lineage against brute force on small genealogies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.values.lineage import Lineage


@st.composite
def genealogies(draw):
    size = draw(st.integers(1, 9))
    parents = [draw(st.lists(st.integers(0, child - 1), max_size=4)) if child else [] for child in range(size)]
    return size, parents


def brute_ancestors(parents, one):
    found = set()
    for parent in parents[one]:
        found |= {parent} | brute_ancestors(parents, parent)
    return found


@given(genealogies(), st.data())
def test_ancestors_and_descendants_equal_brute_force(case, data):
    size, parents = case
    lineage = Lineage.equal_shares(enumerate(parents))
    chosen = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3))
    above = set().union(*(brute_ancestors(parents, one) for one in chosen)) - set(chosen)
    below = {one for one in range(size) if brute_ancestors(parents, one) & set(chosen)} - set(chosen)
    assert lineage.ancestors(chosen).tolist() == sorted(above)
    assert lineage.descendants(chosen).tolist() == sorted(below)


@given(genealogies(), st.data())
def test_the_most_recent_common_ancestor_is_the_youngest_in_every_line(case, data):
    size, parents = case
    lineage = Lineage.equal_shares(enumerate(parents))
    chosen = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3))
    common = set.intersection(*({one} | brute_ancestors(parents, one) for one in chosen))
    assert lineage.most_recent_common_ancestor(chosen) == (max(common) if common else None)


@given(genealogies())
def test_shares_of_a_child_sum_to_one_and_count_a_parent_as_often_as_it_is_named(case):
    _, parents = case
    lineage = Lineage.equal_shares(enumerate(parents))
    for child, named in enumerate(parents):
        mine = lineage.child == child
        shares = dict(zip(lineage.parent[mine].tolist(), lineage.share[mine].tolist()))
        assert shares == pytest.approx({parent: named.count(parent) / len(named) for parent in named})


def test_two_tables_join():
    first, second = Lineage.equal_shares([(2, [0, 1])]), Lineage.equal_shares([(3, [2])])
    assert (first + second).descendants([0]).tolist() == [2, 3]
    assert (Lineage() + second).ancestors([3]).tolist() == [2]


@pytest.mark.parametrize(
    ("child", "parent", "share", "message"),
    [
        ([2], [2], [1.0], "smaller number"),
        ([2], [-1], [1.0], "smaller number"),
        ([2, 2], [0, 1], [0.5, 0.4], "sum to one"),
        ([2, 2], [0, 1], [1.0, 0.0], r"\(0, 1\]"),
        ([2], [0, 1], [1.0], "alike"),
        ([2], [0], [np.nan], "sum to one"),
    ],
)
def test_edges_that_are_none_are_refused(child, parent, share, message):
    with pytest.raises(ValueError, match=message):
        Lineage(child=np.array(child), parent=np.array(parent), share=np.array(share))
