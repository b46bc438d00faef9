"""Unspaced text on tables: the optimum against enumeration, what every way decides, and how it is counted."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from winnow.lookahead.segmentation import FLOOR, GREEDY, OPTIMUM, compare
from winnow.lookahead.unspaced import (
    Line,
    alphabet_of,
    hits,
    join,
    lines_of,
    longest_match,
    most_probable_words,
    rates,
    words_of,
)
from winnow.lookahead.words import forward, segment, spelled
from winnow.models.tabular import Tabular
from winnow.ports.laws import PROGRAM_LAWS, ProgramCase
from winnow.ports.program import run
from winnow.ports.requests import LogProb
from winnow.values.errors import CapabilityError, InputError
from winnow.values.random import Key

TEXTS = ("ab ba", "aab b", "b abb aba", "ba abab", "abba b ab", "a b", "bb aa")
LINES = lines_of("\n".join(TEXTS))


def table(order: int, seed: int) -> Tabular:
    return Tabular.random("ab ", order=order, key=Key(seed))


def every(line: Line) -> list[np.ndarray]:
    return [np.array((False, *marks)) for marks in product((False, True), repeat=len(line.characters) - 1)]


def logprob(model: Tabular, texts: list[str]) -> np.ndarray:
    [(_, reply)] = model.answer([LogProb(prompts=("",), continuations=(tuple(texts),))])
    return reply.logprob[0]


def best(model: Tabular, line: Line) -> tuple[np.ndarray, float]:
    ways = every(line)
    scores = logprob(model, [join(line.characters, way) for way in ways])
    return ways[int(scores.argmax())], float(scores.max())


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_at_full_width_the_optimum_is_that_of_enumeration(order, seed):
    model = table(order, seed)
    alphabet = alphabet_of(model.codec, LINES, name="table")
    found = run(segment(LINES, alphabet, width=2**8), model)
    assert found.proven.all()
    for line, marks, score in zip(LINES, found.spaced, found.logprob, strict=True):
        true, top = best(model, line)
        assert score == pytest.approx(top, abs=1e-12)
        assert marks.tolist() == true.tolist()


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_dynamic_programming_is_exact_with_a_memory_as_long_as_the_models(order, seed):
    model = table(order, seed)
    alphabet = alphabet_of(model.codec, LINES, name="table")
    states = {1: 1, 2: 2, 3: 3}[order]  # patterns of spaces in the last tokens, the last being a character
    found = run(segment(LINES, alphabet, width=states, memory=order), model)
    assert found.proven.all()
    for line, marks, score in zip(LINES, found.spaced, found.logprob, strict=True):
        true, top = best(model, line)
        assert score == pytest.approx(top, abs=1e-12)
        assert marks.tolist() == true.tolist()


def test_a_narrow_search_is_never_above_the_optimum_and_proves_only_what_is_true():
    outcomes = set()
    for seed in range(12):
        model = table(3, seed)
        alphabet = alphabet_of(model.codec, LINES, name="table")
        for width in (1, 2, 3):
            found = run(segment(LINES, alphabet, width=width), model)
            tops = np.array([best(model, line)[1] for line in LINES])
            assert (found.logprob <= tops + 1e-12).all()
            assert (found.logprob[found.proven] >= tops[found.proven] - 1e-12).all()
            outcomes |= set(zip(found.proven.tolist(), (found.logprob >= tops - 1e-12).tolist(), strict=True))
    assert (True, True) in outcomes  # it does prove,
    assert (False, False) in outcomes  # and it does miss
    assert (True, False) not in outcomes


def greedy(model: Tabular, line: Line, look: int) -> list[bool]:
    """By definition: the marks of the best way through the next ``look`` characters, decided one at a time."""
    marks = [False]
    for place in range(1, len(line.characters)):
        end = min(place + look, len(line.characters))
        ways = [[*marks, *more] for more in product((False, True), repeat=end - place)]
        scores = logprob(model, [join(line.characters[:end], way) for way in ways])
        marks.append(ways[int(scores.argmax())][place])
    return marks


@pytest.mark.parametrize("look", [1, 2, 3, 20])
def test_what_is_decided_after_so_many_characters_is_decided_by_the_best_way_through_them(look):
    for seed in range(4):
        model = table(3, seed)
        alphabet = alphabet_of(model.codec, LINES, name="table")
        found = run(segment(LINES, alphabet, width=2**8, lag=look), model)
        assert not found.proven.any()
        assert [marks.tolist() for marks in found.spaced] == [greedy(model, line, look) for line in LINES]
        if look == 1:  # greedy at any width is the same
            narrow = run(segment(LINES, alphabet, width=1), model)
            assert [m.tolist() for m in narrow.spaced] == [m.tolist() for m in found.spaced]


def test_the_forward_pass_alone_compares_the_space_with_the_character():
    model = table(2, 5)
    alphabet = alphabet_of(model.codec, LINES, name="table")
    found = run(forward(LINES, alphabet), model)
    for line, marks in zip(LINES, found.spaced, strict=True):
        written = line.characters[0]
        for character, mark in zip(line.characters[1:], marks[1:], strict=True):
            space, own = logprob(model, [written + " ", written + character]) - logprob(model, [written])
            assert mark == (space > own)
            written += f" {character}" if mark else character


def test_the_truth_has_the_probability_that_the_model_gives_its_text():
    model = table(2, 1)
    alphabet = alphabet_of(model.codec, LINES, name="table")
    np.testing.assert_allclose(run(spelled(LINES, alphabet), model), logprob(model, list(TEXTS)), rtol=0, atol=1e-12)


def words_model(words: dict[str, float], letters: str, order: int) -> Tabular:
    """Independent words with spaces between them, as a character model of an order that tells all their beginnings."""
    symbols = [*letters, " "]
    size = len(symbols) + 1
    rows = np.full((size**order, size), 1 / size)
    for state in product(range(size), repeat=order):
        recent = "".join(symbols[t] if t < len(symbols) else "\0" for t in state)
        if "\0" in recent.lstrip("\0"):
            continue
        since = recent.lstrip("\0").rsplit(" ", 1)
        begun = since[-1]
        if len(since) == 1 and "\0" not in recent:
            continue
        fitting = {word: p for word, p in words.items() if word.startswith(begun)}
        if not fitting or (" " not in recent and "\0" not in recent):
            continue
        row = np.zeros(size)
        for word, p in fitting.items():
            row[len(letters) if word == begun else symbols.index(word[len(begun)])] += p
        rows[int("".join(map(str, state)), size) if size <= 10 else 0] = row / row.sum()
    return Tabular(symbols, rows)


def test_where_the_first_choice_misleads_the_optimum_finds_the_words_and_greedy_and_floor_do_not():
    # after "ab" the longer word is likelier, and only the "d" behind it tells that it was not meant
    words = {"ab": 0.2, "abc": 0.4, "cd": 0.2, "d": 0.001, "e": 0.199}
    model = words_model(words, "abcde", order=4)
    lines = lines_of("ab cd e\nab cd\nab e abc e")
    alphabet = alphabet_of(model.codec, lines, name="table")
    optimum, one_ahead, alone = (
        run(way, model).spaced
        for way in (segment(lines, alphabet, width=64), segment(lines, alphabet, width=1), forward(lines, alphabet))
    )
    floor = [longest_match(line.characters, words) for line in lines]
    right = [float(rates(hits(found, lines).sum(axis=0))[2]) for found in (floor, alone, one_ahead, optimum)]
    assert right[3] == 1
    assert max(right[:3]) < 0.8
    # two characters ahead are enough here: the "d" is seen before it is decided
    assert run(segment(lines, alphabet, width=64, lag=2), model).spaced[1].tolist() == optimum[1].tolist()


def test_the_longest_match_takes_the_longest_known_word_and_leaves_punctuation_where_it_stands():
    assert join("Thecatsat,then.", longest_match("Thecatsat,then.", {"the", "cat", "cats", "sat", "then"})) == (
        "The cats a t, then."
    )
    assert join("xyz", longest_match("xyz", {"yz"})) == "x yz"
    assert join("it'sso", longest_match("it'sso", {"it's", "so"})) == "it's so"


def test_independent_words_are_segmented_as_by_enumeration():
    counts = words_of("the cat sat then the cats ate a rat; the theatre sat at ten")
    total = sum(counts.values())

    def score(words: list[str]) -> float:
        return sum(np.log(counts[w] / total) if counts[w] else np.log(10 / total) - len(w) * np.log(10) for w in words)

    for characters in ("thecatsat", "theatreat", "atenrats", "thenthe"):
        ways = [np.array((False, *m)) for m in product((False, True), repeat=len(characters) - 1)]
        ways = [way for way in ways if max(map(len, join(characters, way).split())) <= 12]
        scores = [score(join(characters, way).split()) for way in ways]
        found = most_probable_words(characters, counts)
        assert score(join(characters, found).split()) == pytest.approx(max(scores), abs=1e-9)


def test_precision_recall_and_f1_count_spaces():
    [line] = lines_of("ab cd e")
    found = np.array([False, True, True, False, False])
    counts = hits([found], [line])
    assert counts.tolist() == [[1, 2, 2, 0]]
    np.testing.assert_allclose(rates(counts[0]), [0.5, 0.5, 0.5])
    np.testing.assert_allclose(rates(np.array([0.0, 0, 2, 0])), [1, 0, 0])
    assert hits([line.spaced], [line])[0, 3] == 1


def test_lines_are_read_with_their_numbers_and_single_spaces():
    lines = lines_of("one\n two  words \n\nand three more", first=7)
    assert [(line.number, line.text) for line in lines] == [(8, "two words"), (10, "and three more")]


def test_models_that_do_not_write_characters_are_refused_and_so_are_unknown_ones():
    joined = Tabular.random(["a", "b", "ab", " "], order=1)
    with pytest.raises(CapabilityError, match="no character-level model"):
        alphabet_of(joined.codec, lines_of("ab ba"), name="table")
    with pytest.raises(CapabilityError, match="no character-level model"):
        alphabet_of(Tabular.random(["a", "aa", " "], order=1).codec, lines_of("a aa"), name="table")
    with pytest.raises(InputError, match="no token"):
        alphabet_of(table(1, 0).codec, lines_of("ab ca"), name="table")


@pytest.mark.parametrize("law", PROGRAM_LAWS.values(), ids=PROGRAM_LAWS)
@pytest.mark.parametrize("name", ["forward", "beam", "lag", "memory", "spelled"])
def test_the_ways_are_programs_that_keep_the_laws(law, name):
    model = table(2, 0)
    alphabet = alphabet_of(model.codec, LINES, name="table")
    make = {
        "forward": lambda: forward(LINES, alphabet),
        "beam": lambda: segment(LINES, alphabet, width=3),
        "lag": lambda: segment(LINES, alphabet, width=4, lag=2),
        "memory": lambda: segment(LINES, alphabet, width=3, memory=2),
        "spelled": lambda: spelled(LINES, alphabet),
    }[name]
    law(ProgramCase(make=make, backend=lambda: table(2, 0)))


def test_all_ways_are_compared_on_the_same_lines_a_few_at_a_time():
    words = {"ab": 0.2, "abc": 0.4, "cd": 0.2, "d": 0.001, "e": 0.199}
    model = words_model(words, "abcde", order=4)
    lines = lines_of("ab cd e\nab cd\nab e abc e\nabc e\n" * 6)  # more than are segmented together
    alphabet = alphabet_of(model.codec, lines, name="table")
    counts = words_of("ab abc abc cd e " * 9)
    report = run(compare(lines, alphabet, counts, width=64, lags=(1, 2), key=Key(1), draws=200), model)
    ways = {way.name: way for way in report.ways}
    whole = run(segment(lines, alphabet, width=64), model)
    assert report.logprob[0] == pytest.approx(whole.logprob.mean(), abs=1e-12)
    assert report.proven == 1
    assert report.truth_higher == 0
    assert ways[OPTIMUM].f1.value == 1
    assert ways[OPTIMUM].whole.value == 1
    assert ways[GREEDY].f1 == ways["decided 1 characters ahead"].f1
    assert ways[GREEDY].gain is None
    assert ways[OPTIMUM].gain.value == pytest.approx(1 - ways[GREEDY].f1.value)
    assert ways[OPTIMUM].gain.low > 0
    floor = rates(hits([longest_match(line.characters, counts) for line in lines], lines).sum(axis=0))
    assert [ways[FLOOR].precision.value, ways[FLOOR].recall.value, ways[FLOOR].f1.value] == pytest.approx(
        floor.tolist()
    )
    assert f"n = {len(lines)} lines" in report.verdict
