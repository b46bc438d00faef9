"""An amplified model keeps the laws of language models and backends, and is searched like any model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from winnow.lookahead.amplify import Amplified, amplify
from winnow.lookahead.looking import Looking
from winnow.lookahead.settings import StudySettings
from winnow.lookahead.texts import Document, prepare
from winnow.models.load import load
from winnow.models.tabular import Tabular
from winnow.ports.laws import BACKEND_LAWS, MODEL_LAWS, BackendCase, ModelCase, model_requests
from winnow.search.call import search
from winnow.values.random import Key

TABLE = Tabular.random("abc", order=2, key=Key(9))
AMPLIFIED: dict[str, Callable[[], Amplified]] = {
    "beams": lambda: amplify(TABLE, 2, 3, weight=0.5),
    "counts": lambda: amplify(TABLE, 3, 2, weight=0.9, average=0.0),
    "geometric": lambda: amplify(TABLE, 2, 3, weight=0.7, mixing="geometric"),
    "power": lambda: amplify(TABLE, depth=3, weight=1.0, power=2.0, num_futures=3),
    "nothing": lambda: amplify(TABLE, 2, 3, weight=0.0),
}


def case(name: str) -> ModelCase:
    return ModelCase(
        make=AMPLIFIED[name], prompts=("ab", "c", "cabba"), continuations=("a", "bc", "bb"), tolerance=1e-9
    )


@pytest.mark.parametrize("law", MODEL_LAWS)
@pytest.mark.parametrize("name", AMPLIFIED)
def test_amplified_model_keeps_law_of_models(name, law):
    MODEL_LAWS[law](case(name))


@pytest.mark.parametrize("law", BACKEND_LAWS)
@pytest.mark.parametrize("name", AMPLIFIED)
def test_amplified_model_keeps_law_of_backends(name, law):
    BACKEND_LAWS[law](BackendCase(make=AMPLIFIED[name], requests=model_requests(case(name)), tolerance=1e-9))


def test_a_look_has_the_same_bytes_whatever_was_asked_before_it(tiny_model: Callable[..., str]) -> None:
    """A study that was interrupted goes on in a model just loaded: its numbers are those of one that was not."""
    directory = tiny_model("llama")
    texts = [Document(f"text {i}", "".join(np.random.default_rng(i).choice(list("abcdefgh ."), 30))) for i in range(30)]
    settings = StudySettings(widths=(3,), depth=3, powers=(2.0,), future_depth=3, horizon=4, horizon_stride=4)
    model = load(directory)
    text = prepare(texts, model, depth=3)
    asked = (*settings.looks(text, model), *settings.horizons(text, model))
    looking = Looking(model)
    in_turn = [dict(looking.answer([request]))[0] for request in asked]
    assert len(asked) > 5
    for place in (1, 3, len(asked) - 1):
        alone = dict(Looking(load(directory)).answer([asked[place]]))[0]
        for field in dataclasses.fields(alone):
            if field.name not in ("cost", "vocabulary"):
                mine, before = getattr(alone, field.name), getattr(in_turn[place], field.name)
                assert mine.tobytes() == before.tobytes(), f"{field.name} of request {place}"


def test_identities_tell_settings_and_models_apart():
    other = Tabular.random("abc", order=2, key=Key(10))
    models = [*(make() for make in AMPLIFIED.values()), amplify(other, 2, 3, weight=0.5), amplify(TABLE, 2, 4)]
    assert len({model.identity for model in models}) == len(models)
    assert amplify(TABLE, 2, 3, weight=0.5).identity == AMPLIFIED["beams"]().identity


@pytest.mark.parametrize(("program", "settings"), [("beam", {"width": 3}), ("smc", {}), ("mcts", {"width": 3})])
def test_an_amplified_model_is_searched_like_any_model(program, settings):
    assert len(search(AMPLIFIED["beams"](), "ab", program, depth=3, **settings)) > 0


def test_an_amplified_model_can_be_amplified():
    twice = amplify(AMPLIFIED["beams"](), 2, 2, weight=0.5)
    assert twice.context_length == TABLE.context_length - 3
    MODEL_LAWS["next_token_sums_to_one"](
        ModelCase(make=lambda: twice, prompts=("ab", "cabba"), continuations=("a",), tolerance=1e-9)
    )
