"""In which passes a block is fed: each place once, none before its ancestors, and nothing unwritten under a mask."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.models.local.arrangement import Arrangement


@st.composite
def blocks(draw):
    """A feed of some rows of a block, most places of which are taken, behind rows that were there before."""
    groups, width, before = draw(st.integers(1, 9)), draw(st.integers(1, 7)), draw(st.integers(0, 3))
    start = draw(st.sampled_from([0, 5, 40]))
    lengths = draw(st.lists(st.integers(0, width), min_size=groups, max_size=groups))
    lengths[draw(st.integers(0, groups - 1))] = width
    place = [(row, group) for row in range(width) for group in range(groups) if row < lengths[group]]
    row, group = np.array(place).T
    slot = start + (before + row) * groups + group
    return Arrangement(np.arange(row.size), slot, row, start, groups, before + width)


@given(blocks(), st.integers(1, 70))
def test_passes_hold_every_place_once_within_the_limit(plan, limit):
    parts = [plan.order[part] for part in plan.parts(limit)]
    assert sorted(np.concatenate(parts).tolist()) == plan.order.tolist()
    assert max(part.size for part in parts) <= max(limit, 1)


@given(blocks(), st.integers(1, 70))
def test_ancestors_are_fed_before_or_with_their_descendants(plan, limit):
    """In a group, a row that is fed in a later pass has no row after it in an earlier one."""
    group, last = (plan.slot - plan.start) % plan.groups, dict[int, int]()
    for part in plan.parts(limit):
        for place in plan.order[part]:
            assert last.get(group[place], -1) < plan.row[place]
            last[group[place]] = plan.row[place]


@given(blocks(), st.integers(1, 70))
def test_what_a_pass_may_see_was_written_or_cleared(plan, limit):
    """A pass goes over its own groups' slots in all rows up to its last: each was there, or cleared, or is fed by then."""
    parts = plan.parts(limit)
    known = {*range(plan.start, plan.start + (plan.rows - plan.width) * plan.groups), *plan.unwritten(parts).tolist()}
    for part in parts:
        slot = plan.slot[part]
        known |= set(slot.tolist())
        group, rows = (slot - plan.start) % plan.groups, (slot[-1] - plan.start) // plan.groups + 1
        for row in range(rows):
            seen = plan.start + row * plan.groups + np.arange(group.min(), group.max() + 1)
            assert set(seen.tolist()) <= known


def test_a_pass_over_groups_where_much_stands_before_them_and_over_rows_where_nothing_does():
    row, group = np.divmod(np.arange(32), 8)
    fresh = Arrangement(np.arange(32), row * 8 + group, row, 0, 8, 4)
    later = Arrangement(np.arange(32), 100 + row * 8 + group, row, 100, 8, 4)
    assert [set(row[part]) for part in fresh.parts(16)] == [{0, 1}, {2, 3}]
    assert [set(group[part]) for part in later.parts(16)] == [{0, 1, 2, 3}, {4, 5, 6, 7}]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_outside_a_block_places_go_in_order(limit):
    plan = Arrangement(np.arange(7), 3 + np.arange(7))
    assert plan.unwritten(plan.parts(limit)).size == 0
    assert np.concatenate([plan.order[part] for part in plan.parts(limit)]).tolist() == list(range(7))
    assert plan.end == 10


@pytest.mark.parametrize("missing", [0, 1, 9])
def test_no_more_passes_than_a_full_block_takes(missing):
    """A place or two that are missing move the borders, not the number."""
    row, group = np.divmod(np.arange(missing, 64), 16)
    plan = Arrangement(np.arange(row.size), 100 + row * 16 + group, row, 100, 16, 4)
    assert len(plan.parts(16)) == 4
