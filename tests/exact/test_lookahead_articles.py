"""The planning index on tables: planted planners, planted grammarians, the null, and what the numbers are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from winnow.lookahead.articles import Reading, account, figures, read
from winnow.lookahead.continuations import written
from winnow.lookahead.situations import Situation
from winnow.models.tabular import Tabular
from winnow.ports.program import run
from winnow.ports.requests import LogProb
from winnow.values.errors import InputError
from winnow.values.random import Key, uniforms

KEY = Key(7)
CONTEXTS = "ABCDEFGH"
ENDINGS = {" a": (" fox", " dog"), " an": (" owl", " elk"), " uh": (" hen",)}
BASE = np.array([0.7, 0.2, 0.1])  # of the articles, whatever is to come


def agreement(size: int) -> np.ndarray:
    """[K, W]: which noun agrees with which article."""
    of_noun = np.repeat(np.arange(size), [len(ends) for ends in list(ENDINGS.values())[:size]])
    return (np.arange(size)[:, None] == of_noun).astype(float)


def noun_tables(size: int, neutral: int = 1) -> np.ndarray:
    """[J, H, W]: nouns each context has in mind, as each neutral article shows them (here all alike)."""
    num = int(agreement(size).shape[1])
    weight = uniforms(KEY, "nouns", np.arange(len(CONTEXTS)), num) ** 2 + 0.01
    return np.stack([weight / weight.sum(axis=1, keepdims=True)] * neutral)


def planted(
    planning: float, grammar: float, size: int = 2, *, nouns: np.ndarray | None = None, shown: np.ndarray | None = None
) -> Tabular:
    """Articles are λ those of the nouns in mind, else the base rates; nouns give way to them to the degree G."""
    nouns = noun_tables(size)[0] if nouns is None else nouns
    shown = nouns[None] if shown is None else shown
    fits = agreement(size)
    articles, neutral = list(ENDINGS)[:size], [" the", " one"][: len(shown)]
    words = [noun for article in articles for noun in ENDINGS[article]]
    vocabulary = [*CONTEXTS, *articles, *neutral, *words]
    place = {word: index for index, word in enumerate(vocabulary)}
    V = len(vocabulary) + 1
    table = np.full((V, V, V), 1 / V)
    base = BASE[:size] / BASE[:size].sum()
    for h, letter in enumerate(CONTEXTS):
        row = np.zeros(V)
        row[[place[a] for a in articles]] = 0.8 * (planning * fits @ nouns[h] + (1 - planning) * base)
        row[[place[n] for n in neutral]] = 0.2 / len(neutral)
        table[:, place[letter]] = row
        for k, article in enumerate(articles):
            allowed = fits[k] * nouns[h] / (fits[k] @ nouns[h])
            row = np.zeros(V)
            row[[place[w] for w in words]] = grammar * allowed + (1 - grammar) * nouns[h]
            table[place[letter], place[article]] = row
        for j, article in enumerate(neutral):
            row = np.zeros(V)
            row[[place[w] for w in words]] = shown[j, h]
            table[place[letter], place[article]] = row
    return Tabular(vocabulary, table.reshape(V * V, V))


def situations(size: int = 2, *, neutral: Sequence[str] = (" the",), demanded: bool = False) -> list[Situation]:
    ends = {article: ENDINGS[article] for article in list(ENDINGS)[:size]}
    nouns = [noun for many in ends.values() for noun in many]
    return [
        Situation(
            context=letter,
            openings=ends,
            neutral=() if demanded else tuple(neutral),
            ending=nouns[index % len(nouns)] if demanded else None,
        )
        for index, letter in enumerate(CONTEXTS)
    ]


def told(model: Tabular, asked: Sequence[Situation]):
    [found] = figures(run(read(asked, model.codec), model), key=KEY, draws=400)
    return found


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("grammar", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("planning", [0.0, 0.25, 0.5, 1.0])
def test_the_index_of_a_planted_mixture_is_what_was_planted(planning, grammar, size):
    found = told(planted(planning, grammar, size), situations(size))
    assert found.planning.value == pytest.approx(planning, abs=1e-9)
    assert found.grammar.value == pytest.approx(grammar, abs=1e-9)
    assert found.index.value == pytest.approx(planning - (1 - planning) * grammar, abs=1e-9)
    assert found.index.low == pytest.approx(found.index.value, abs=1e-9)  # an exact line: every resample gives it
    assert found.coverage == pytest.approx(1.0)
    assert found.mass == pytest.approx(0.8)


def test_the_verdict_tells_the_planner_the_grammarian_and_the_null_apart():
    planner, grammarian, null = (told(planted(p, g), situations()) for p, g in ((1, 1), (0, 1), (0, 0)))
    assert planner.verdict.startswith("It plans")
    assert planner.index.value == pytest.approx(1)
    assert grammarian.verdict.startswith("Grammar, not planning")
    assert grammarian.index.value == pytest.approx(-1)
    assert null.verdict.startswith("Neither")
    assert null.index.value == pytest.approx(0, abs=1e-9)
    # both write articles and nouns that agree: agreement alone cannot tell them apart
    assert planner.agreeing.value == pytest.approx(1)
    assert grammarian.agreeing.value == pytest.approx(1)
    assert null.agreeing.value < 0.8
    # a planner's noun, were the article forced the other way, gives way to it; the null's stays
    assert planner.after_other.value == pytest.approx(0)
    assert null.after_other.value == pytest.approx(null.after_own.value)


@pytest.mark.parametrize("size", [2, 3])
def test_a_noun_that_the_context_demands_needs_no_neutral_article(size):
    fits, num = agreement(size), int(agreement(size).shape[1])
    rigid = np.eye(num)[np.arange(len(CONTEXTS)) % num]
    nouns = 0.999999 * rigid + 0.000001 / num
    found = told(planted(0.6, 1.0, size, nouns=nouns), situations(size, demanded=True))
    assert found.planning.value == pytest.approx(0.6, abs=1e-5)
    assert found.index.value == pytest.approx(2 * 0.6 - 1, abs=1e-5)
    assert fits.shape[0] == size


def test_what_is_peculiar_to_one_neutral_article_does_not_dilute_planning():
    # errors of two neutral articles, uncorrelated with each other and with the nouns in mind
    signs = np.array([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1], [1, 1, -1, -1, 1, 1, -1, -1]])
    owl = 0.5 + 0.2 * signs[0]  # P(a noun that takes " an")
    vowel, other = agreement(2)[1] / 2, agreement(2)[0] / 2

    def nouns(p: np.ndarray) -> np.ndarray:
        return p[:, None] * vowel + (1 - p[:, None]) * other

    shown = np.stack([nouns(owl + 0.1 * signs[1]), nouns(owl + 0.1 * signs[2])])
    both = told(planted(1.0, 1.0, nouns=nouns(owl), shown=shown), situations(neutral=(" the", " one")))
    alone = told(planted(1.0, 1.0, nouns=nouns(owl), shown=shown), situations())
    assert both.planning.value == pytest.approx(1.0, abs=1e-9)
    assert alone.planning.value == pytest.approx(0.2**2 / (0.2**2 + 0.1**2), abs=1e-9)
    assert both.reliability == pytest.approx(0.2**2 / (0.2**2 + 0.1**2), abs=1e-9)


def test_where_the_nouns_in_mind_are_the_same_everywhere_nothing_is_identified():
    nouns = np.tile(noun_tables(2)[0][:1], (len(CONTEXTS), 1))
    found = told(planted(1.0, 1.0, nouns=nouns), situations())
    assert found.index is None
    assert found.planning is None
    assert "Not identifiable" in found.verdict
    assert found.grammar.value == pytest.approx(1)


def test_openings_and_endings_have_the_probabilities_that_the_model_gives_their_texts():
    letters = Tabular.random("ab ndo", order=3, key=Key(3))
    asked = [
        Situation(context="do", openings={" a": (" do", " boa"), " an": (" and", " oda")}, neutral=(" o",)),
        Situation(context="bad", openings={" a": (" do", " boa"), " an": (" and", " oda")}, neutral=(" b",)),
    ]
    for situation, one in zip(asked, run(written(asked, letters.codec), letters), strict=True):
        endings = [e for ends in situation.classes for e in ends]
        texts = [[o + " ", *(o + e for e in endings)] for o in (*situation.openings, *situation.neutral)]
        flat = tuple(text for row in texts for text in row)
        [(_, reply)] = letters.answer([LogProb(prompts=(situation.context,), continuations=(flat,))])
        true = reply.logprob[0].reshape(len(texts), -1)
        np.testing.assert_allclose(one.opening[:2], true[:2, 0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(one.opening[:2, None] + one.ending[:2], true[:2, 1:], rtol=0, atol=1e-12)
        assert np.isnan(one.opening[2])


def test_an_opening_is_a_whole_word_whatever_the_tokens():
    # " a" as a token of its own that " n" could follow: P(" a") must leave out " a" + "n"
    words = ["x", " a", "n", " owl", " fox"]
    table = np.zeros((6, 6))
    table[:, 1] = 1.0
    table[1] = [0, 0, 0.25, 0.25, 0.5, 0]  # after " a": "n" .25, else a noun
    table[2] = [0, 0, 0, 0.9, 0.1, 0]
    model = Tabular(words, table)
    asked = [Situation(context="x", openings={" a": (" fox",), " an": (" owl",)}, ending=" owl")]
    [one] = run(written(asked, model.codec), model)
    np.testing.assert_allclose(np.exp(one.opening), [0.75, 0.25])
    np.testing.assert_allclose(np.exp(one.ending), [[0.5, 0.25], [0.1, 0.9]])


def noisy(planning: float, key: Key, num: int = 40) -> list[Reading]:
    """Readings of a planner in part, with noise in what is chosen."""
    u = uniforms(key, "noisy", np.arange(num), 3)
    implied = u[:, 0]
    chosen = np.clip(planning * implied + (1 - planning) * 0.3 + 0.3 * (u[:, 1] - 0.5), 0, 1)
    [situation, *_] = situations()
    return [
        Reading(
            situation=situation,
            chosen=np.array([1 - p, p]),
            forced=np.array([[0.9, 0.1], [0.5 - 0.4 * w, 0.5 + 0.4 * w]]),
            implied=np.array([[1 - v, v]]),
            unseen=np.zeros((0, 2)),
            mass=1.0,
            coverage=1.0,
        )
        for v, p, w in zip(implied, chosen, u[:, 2], strict=True)
    ]


def test_intervals_hold_the_truth_as_often_as_they_say():
    truth = 0.5 - 0.5 * 0.6  # the mean of G is .9 + .5 + .4/2 - 1 = .6
    hits, trials = 0, 120
    for trial in range(trials):
        found = account(noisy(0.5, Key(trial)), key=Key(trial).child("b"), draws=300)
        hits += found.index.low <= truth <= found.index.high
    assert hits / trials >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / trials)
    assert hits / trials < 1  # intervals that are never wrong are too wide


def test_situations_of_one_cluster_are_drawn_together():
    readings = noisy(0.5, Key(1), num=12)
    alone = account(readings, key=KEY)
    doubled = [
        one._replace(situation=Situation(**{**vars_of(one.situation), "cluster": str(index)}))
        for index, one in enumerate(readings)
        for _ in range(4)
    ]
    together = account(doubled, key=KEY)
    assert (together.num, together.num_clusters, alone.num_clusters) == (48, 12, 12)
    assert together.index == pytest.approx(alone.index, abs=1e-9)  # four copies say no more than one


def vars_of(situation: Situation) -> dict:
    return {name: getattr(situation, name) for name in ("context", "openings", "neutral", "ending")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"openings": {" a": (" fox",), " an": (" fox",)}}, "same endings"),
        ({"openings": {" a": (" fox",), " an": (" fox", " owl")}}, "agrees with two openings"),
        ({"openings": {" a": (" fox",), " an": (" owl", " owls")}}, "begins"),
        ({"openings": {" a": (" ox",), " an": (" owl",)}}, "same letter"),
        ({"openings": {" a": (), " an": (" owl",)}}, "empty"),
        ({"neutral": ()}, "nothing says"),
        ({"ending": " oak"}, "no opening's"),
        ({"unseen": (" um",)}, "no opening"),
    ],
)
def test_what_is_no_situation_is_refused(changes, message):
    good = {"context": "A", "openings": {" a": (" fox",), " an": (" owl",)}, "neutral": (" the",)}
    Situation(**good)
    with pytest.raises(InputError, match=message):
        Situation(**{**good, **changes})
