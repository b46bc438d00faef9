"""The study tells a planted null from a planted positive, and its numbers are those of the amplified model itself."""

from __future__ import annotations

import numpy as np
import pytest

from winnow.lookahead.amplify import amplify
from winnow.lookahead.fit import Mixture, apply, by_beams, fit, temper
from winnow.lookahead.intervals import estimate, halves
from winnow.lookahead.ponder import larger, ponder
from winnow.lookahead.rival import base_of, fit_rival
from winnow.lookahead.settings import StudySettings
from winnow.lookahead.study import Study
from winnow.lookahead.table import settings_of
from winnow.lookahead.texts import Document, prepare
from winnow.models.sampling import temper as tempered
from winnow.models.tabular import Tabular
from winnow.ports.asking import ask_all, next_logprobs
from winnow.ports.requests import Complete, LanguageModel
from winnow.study import lookahead
from winnow.values.random import Key, uniforms

SYMBOLS = "abcdefgh"
SETTINGS = StudySettings(
    widths=(2, 8), depth=2, averages=(0.0, 1.0, 2.0), powers=(1.5, 2.0, 3.0), future_depth=2, stride=1, least=0.0,
    horizon=4, horizon_stride=4,
)  # fmt: skip


def table() -> Tabular:
    """After half of the symbols nearly anything follows, after the others nearly one thing; a text hardly ends."""
    size = len(SYMBOLS) + 1
    weight = -np.log1p(-uniforms(Key(1), "weights", np.arange(size), size))
    weight[: size // 2] = weight[: size // 2] ** 6
    weight[:, -1] = 0.002 * weight.sum(axis=1)
    return Tabular(SYMBOLS, weight / weight.sum(axis=1, keepdims=True), context_length=64)


MODEL = table()


def written_by(model: LanguageModel, num: int, length: int = 55) -> list[Document]:
    request = Complete(prompts=("",) * num, slots=np.arange(num), key=Key(5), max_tokens=length)
    return [Document(f"text {i}", text) for i, text in enumerate(ask_all(model, [request])[0].text) if len(text) > 3]


@pytest.fixture(scope="module")
def null() -> Study:
    return lookahead(MODEL, written_by(MODEL, 80), settings=SETTINGS)


@pytest.fixture(scope="module")
def positive() -> Study:
    """The truth is the model's distribution of two tokens to the power 2: next-token marginals distorted at depth 2."""
    truth = amplify(MODEL, depth=2, power=2.0, weight=1.0)
    return lookahead(MODEL, written_by(truth, 80), settings=SETTINGS)


def test_a_calibrated_model_gains_nothing(null):
    assert not null.helps
    assert null.headline is not None
    assert null.headline.row.beyond.mean < 0.002
    assert null.temperature.low <= 0.0 <= null.temperature.high or null.temperature.mean == 0.0
    assert "does not help" in null.verdict()


def test_a_model_distorted_at_depth_two_gains_and_by_what_it_should(positive):
    """The study finds it, and with (5) at the planted power and depth it finds most of what the truth itself gains."""
    assert positive.helps
    assert "looking ahead helps" in positive.verdict()
    row = positive.headline.row
    assert row.setting.depth > 1
    planted = ("power", 2, 2.0)
    truth = next(one for one in positive.measured if (one.row.setting[0], *one.row.setting[2:4]) == planted)
    assert truth.row.beyond.above
    assert row.beyond.mean > 0.5 * truth.row.beyond.mean
    shallow = [one.row.beyond for one in positive.measured if one.row.setting.depth == 1]
    assert max(one.mean for one in shallow) < 0.2 * truth.row.beyond.mean, (
        "depth 1 is the rival: it gains nothing over it"
    )


def test_a_rival_at_depth_one_that_treats_places_apart_is_told_from_lookahead(null, positive):
    """Planted: the truth is the model, sharper after some symbols and flatter after others. A stronger rival has it all."""
    assert null.control.beyond.mean < 0.002
    assert positive.control.beyond.above
    assert positive.control.beyond.mean > 0.5 * positive.headline.row.beyond.mean
    planted = dict(positive.control.powers)["(5) power 2, 4 futures, depth 2"]
    assert planted.above
    assert len(positive.control.powers) == 3
    rows = np.exp(next_logprobs(MODEL, [[symbol] for symbol in range(len(SYMBOLS))]))
    apart = rows ** np.where(np.arange(len(SYMBOLS)) < 4, 0.6, 1.8)[:, None]
    start = np.exp(next_logprobs(MODEL, [[len(SYMBOLS)]]))
    truth = Tabular(SYMBOLS, np.concatenate([apart / apart.sum(axis=1, keepdims=True), start]), context_length=64)
    found = lookahead(MODEL, written_by(truth, 80), settings=SETTINGS)
    assert found.control.gain.above
    assert found.control.gain.mean > 0.02
    assert found.control.beyond.mean < 0.1 * found.control.gain.mean
    assert len(found.control.rival.rivals) > 4


def test_gain_at_a_position_is_what_the_amplified_model_says_there(positive):
    """The table's numbers are log p_amp(x) - log p(x) of ``amplify`` with the fitted weight, position by position."""
    text, looks = positive.text, positive.looks
    prefixes = [text.stretches[0].row[:place].tolist() for place in range(1, 13)]
    token = text.token[:12]
    naive = next_logprobs(MODEL, prefixes)[np.arange(12), token]
    np.testing.assert_allclose(looks.logprob[:12], naive, atol=1e-12)
    tried = 0
    for one in positive.measured:
        setting, mixture = one.row.setting, one.row.plain
        if setting.family != "beams" or mixture.weight == 0.0:
            continue
        ahead = amplify(
            MODEL, setting.width, setting.depth, weight=mixture.weight, average=setting.exponent, mixing=setting.mixing,
            cover=max(mixture.cover, 1e-15),
        )  # fmt: skip
        expected = next_logprobs(ahead, prefixes)[np.arange(12), token] - naive
        np.testing.assert_allclose(one.gain[:12], expected, atol=1e-9, err_msg=str(setting))
        tried += 1
        if tried == 12:
            break
    assert tried > 4


def test_geometric_mixing_is_normalised_over_the_whole_vocabulary(positive):
    looks = positive.looks
    found = by_beams(looks, slice(0, 2), 2, 1.0)
    base = temper(looks, 1.0, 2)
    mixture = Mixture("geometric", 0.6, 0.2)
    ahead = amplify(MODEL, 2, 2, weight=0.6, cover=0.2, mixing="geometric")
    prefixes = [positive.text.stretches[0].row[:place].tolist() for place in range(1, 13)]
    expected = next_logprobs(ahead, prefixes)[np.arange(12), positive.text.token[:12]]
    np.testing.assert_allclose(apply(base, found, mixture)[:12], expected, atol=1e-9)


@pytest.mark.parametrize("kind", ["top-p", "top-k"])
def test_the_rival_s_truncation_is_the_samplers_own(positive, kind):
    from winnow.lookahead.fit import truncate

    looks, temperature = positive.looks, 0.8
    value = 0.7 if kind == "top-p" else 3
    prefixes = [positive.text.stretches[0].row[:place].tolist() for place in range(1, 21)]
    full = next_logprobs(MODEL, prefixes)
    expected = tempered(full, temperature=temperature, top_p=0.7)
    if kind == "top-k":
        scaled = full / temperature
        cut = np.where(scaled >= np.sort(scaled, axis=1)[:, [-3]], scaled, -np.inf)
        expected = cut - np.log(np.exp(cut).sum(axis=1, keepdims=True))
    got = truncate(looks, temperature, kind, value, looks.ranked.shape[1]).true[:20]
    np.testing.assert_allclose(got, np.exp(expected[np.arange(20), positive.text.token[:20]]), atol=1e-9)


def test_a_fitted_rival_is_a_distribution_and_beats_the_model_where_it_was_fitted(positive):
    looks, tuning = positive.looks, positive.tuning
    rival = fit_rival(looks, tuning)
    base = base_of(looks, rival, looks.ranked.shape[1])
    np.testing.assert_allclose(np.exp(base.top).sum(axis=1), 1.0, atol=1e-9)
    assert base.true[tuning].mean() >= looks.logprob[tuning].mean()
    assert positive.rival_gain.mean > 0.01  # the truth is sharper than the model


def test_a_planted_temperature_is_found_and_is_not_lookahead():
    """Text written at temperature 0.6: the rival takes all of it, looking ahead adds nothing."""
    request = Complete(
        prompts=("",) * 80, slots=np.arange(80), key=Key(8), max_tokens=55, temperature=0.6
    )  # fmt: skip
    texts = [Document(str(i), t) for i, t in enumerate(ask_all(MODEL, [request])[0].text) if len(t) > 3]
    study = lookahead(MODEL, texts, settings=SETTINGS)
    assert study.rival.temperature == pytest.approx(0.6, abs=0.03) or study.rival.weight > 0
    assert study.rival_gain.above
    assert not study.helps
    assert study.plain.row.gain.mean <= study.rival_gain.mean + 0.002


def test_depth_one_of_5_is_temperature(null):
    looks = null.looks
    for setting, found, _ in settings_of(looks, SETTINGS):
        if setting.family == "power" and setting.depth == 1:
            expected = temper(looks, 1 / setting.exponent, 1).true
            np.testing.assert_allclose(np.log(found.true), expected, atol=1e-9)


def test_weights_are_fitted_to_their_optimum(positive):
    looks, tuning = positive.looks, positive.tuning
    base, found = temper(looks, 1.0, 8).take(tuning), by_beams(looks, slice(2, 10), 2, 1.0).take(tuning)
    for mixing in ("linear", "geometric"):
        best = fit(base, found, mixing)
        mine = apply(base, found, best).mean()
        grid = [
            apply(base, found, Mixture(mixing, weight, cover)).mean()
            for weight in np.linspace(0.02, 0.98, 25)
            for cover in ((0.0,) if mixing == "linear" else np.linspace(0.05, 0.95, 10))
        ]
        assert mine >= max(grid) - 1e-5


def test_an_interval_covers_what_it_should():
    """95 % of intervals of a mean with correlated units cover it: 150 tries, within 3 standard errors of a binomial."""
    tries, covered = 150, 0
    for number in range(tries):
        noise = np.random.default_rng(number)
        unit = np.repeat(np.arange(60), 20)
        value = np.repeat(noise.normal(size=60), 20) + noise.normal(size=1200)
        told = estimate(value, unit, Key(number))
        covered += told.low <= 0.0 <= told.high
    assert abs(covered / tries - 0.945) < 3 * np.sqrt(0.05 * 0.95 / tries) + 0.005


def test_halves_keep_units_whole():
    unit = np.repeat(np.arange(9), 4)
    tuning = halves(unit, Key(0))
    assert tuning.sum() == 20
    assert all(len(set(tuning[unit == one])) == 1 for one in range(9))


def test_pondering_spends_less_and_keeps_most_of_the_gain(positive):
    rows = ponder(positive)
    everywhere = next(one for one in rows if one.way == "everywhere")
    nowhere = next(one for one in rows if one.way == "nowhere")
    assert (nowhere.tokens, nowhere.gain.mean) == (1.0, 0.0)
    assert everywhere.gain == positive.headline.row.beyond
    for way in ("entropy", "fitted", "random"):
        mine = [one for one in rows if one.way == way]
        assert all(one.tokens < everywhere.tokens for one in mine)
        assert max(one.gain.mean for one in mine) > 0
    rows_of = {
        way: [one.gain.mean for one in rows if one.way == way and one.share < 0.45] for way in ("fitted", "random")
    }
    assert max(rows_of["fitted"]) > max(rows_of["random"])


def test_a_larger_model_is_another_way_to_spend(positive):
    """The truth itself as the larger model of twice the parameters: its gain is what it says of the documents."""
    truth = amplify(MODEL, depth=2, power=2.0, weight=1.0)
    texts = written_by(truth, 80)[:20]
    few = StudySettings(widths=(2,), depth=2, averages=(1.0,), powers=(), mixings=("linear",), horizon=0)
    small, big = (lookahead(model, texts, settings=few) for model in (MODEL, truth))
    told = larger(small, big, parameters=(1, 2))
    assert told.tokens == pytest.approx(2.0)
    inside = small.text.document < small.text.document[-1]
    expected = (big.rival_logprob - small.rival_logprob)[inside].mean()
    assert told.gain.mean == pytest.approx(expected, abs=1e-12)
    assert told.gain.mean > 0
    more = lookahead(truth, written_by(truth, 80)[:40], settings=few)
    assert larger(small, more, parameters=(1, 2)).tokens == pytest.approx(2.0), (
        "what only one of them read costs nothing"
    )


def test_splits_add_up_to_the_gain(positive):
    for name in {one["split"] for one in positive.splits}:
        parts = [one for one in positive.splits if one["split"] == name and one["of"] == "beyond"]
        if sum(one["share"] for one in parts) > 0.9999:
            total = sum(one["share"] * one["mean"] for one in parts)
            assert total == pytest.approx(positive.headline.row.beyond.mean, abs=1e-9)


def test_the_horizon_of_a_chain_of_order_one_is_short(null):
    curve = [one["agreement above chance"] for one in null.horizon]
    assert curve[0]["low"] > 0
    assert curve[0]["mean"] > curve[-1]["mean"]


def test_windows_of_a_long_text_score_every_token_once():
    text = "abcdefgh" * 40
    prepared = prepare([Document("x", text)], MODEL, depth=3)
    assert "".join(prepared.piece) == text[1:]  # nothing stands before the first: it is not scored
    assert max(one.row.size for one in prepared.stretches) + 3 - 2 <= MODEL.context_length
    assert [one.begin for one in prepared.stretches][1:] != [0] * (len(prepared.stretches) - 1)
