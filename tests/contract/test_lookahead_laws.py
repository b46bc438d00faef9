"""An amplified model keeps the laws of language models and backends, and is searched like any model."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from winnow.lookahead.amplify import Amplified, amplify
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
