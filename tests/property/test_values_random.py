"""Random numbers belong to a place: the same name gives the same number, whatever else is asked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.values.random import Key, choose, permutation, uniforms

KEYS = st.builds(
    Key, st.integers(0, 2**40), st.lists(st.one_of(st.integers(0, 99), st.text(max_size=5)), max_size=3).map(tuple)
)
SLOTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=8, unique=True)


@given(KEYS, SLOTS, st.integers(1, 9), st.integers(1, 9))
def test_a_number_does_not_depend_on_how_many_steps_are_asked(key, slots, few, more):
    short, long = uniforms(key, "a", slots, few), uniforms(key, "a", slots, few + more)
    np.testing.assert_array_equal(short, long[:, :few])


@given(KEYS, SLOTS, st.randoms(use_true_random=False))
def test_a_row_depends_on_its_slot_only(key, slots, random):
    whole = dict(zip(slots, uniforms(key, "a", slots, 3)))
    order = slots.copy()
    random.shuffle(order)
    for slot, row in zip(order, uniforms(key, "a", order, 3)):
        np.testing.assert_array_equal(row, whole[slot])
    np.testing.assert_array_equal(uniforms(key, "a", slots[0], 3)[0], whole[slots[0]])


@given(KEYS, st.integers(0, 99))
def test_another_name_gives_another_number(key, slot):
    here = uniforms(key, "a", slot)[0, 0]
    others = [
        uniforms(key, "b", slot),
        uniforms(key, "a", slot + 1),
        uniforms(key.child("x"), "a", slot),
        uniforms(Key(key.seed + 1, key.path), "a", slot),
    ]
    assert all(here != other[0, 0] for other in others)


def test_the_text_3_and_the_number_3_are_two_places_and_a_numpy_3_is_the_number():
    number, text = uniforms(Key(0).child(3), "a", 0), uniforms(Key(0).child("3"), "a", 0)
    assert number != text
    np.testing.assert_array_equal(uniforms(Key(0).child(int(np.int64(3))), "a", 0), number)
    np.testing.assert_array_equal(uniforms(Key(0, (np.int64(3),)), "a", 0), number)


def test_the_numbers_themselves_are_pinned():
    # a change here changes every recorded run
    expected = [[0.24842858543806412, 0.4940779808631637], [0.030766326684831924, 0.9898168886434636]]
    np.testing.assert_array_equal(uniforms(Key(0, ("round", 3)), "survive", [0, 5], 2), expected)


@given(KEYS, st.integers(0, 12))
def test_a_permutation_holds_everyone_once(key, size):
    assert sorted(permutation(key, "order", size).tolist()) == list(range(size))


@given(KEYS, SLOTS, st.integers(0, 6), st.integers(0, 6))
def test_chosen_options_are_different_and_a_shorter_choice_is_the_start_of_a_longer(key, slots, num_chosen, rest):
    options = num_chosen + rest
    chosen = choose(key, "pick", slots, options, num_chosen)
    assert chosen.shape == (len(slots), num_chosen)
    assert all(len(set(row)) == num_chosen for row in chosen.tolist())
    np.testing.assert_array_equal(chosen, choose(key, "pick", slots, options, options)[:, :num_chosen])


def test_numbers_look_uniform_across_slots_as_well_as_along_steps():
    along, across = uniforms(Key(1), "a", [0], 4000)[0], uniforms(Key(1), "a", np.arange(4000), 1)[:, 0]
    for values in (along, across):
        assert values.min() >= 0
        assert values.max() < 1
        assert abs(values.mean() - 0.5) <= 4 * np.sqrt(1 / 12 / 4000)
        counts = np.histogram(values, 10, (0, 1))[0]
        assert np.all(np.abs(counts - 400) <= 4 * np.sqrt(4000 * 0.1 * 0.9))


def test_wrong_requests_are_refused():
    with pytest.raises(ValueError, match="from 0 up"):
        uniforms(Key(0), "a", [-1])
    with pytest.raises(ValueError, match="cannot choose 3"):
        choose(Key(0), "a", [0], 2, 3)
