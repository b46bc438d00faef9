"""What changed between two sessions of a run, in words that name what a user can set."""

from winnow.runs.provenance import differences


def test_threads_are_named_as_the_environment_names_them():
    before, now = {"threads": None, "python": "3.11.9"}, {"threads": "1", "python": "3.11.9"}
    assert differences(before, now) == ["OMP_NUM_THREADS not set -> 1"]
    assert differences(now, before) == ["OMP_NUM_THREADS 1 -> not set"]
    assert differences(now, now) == []
