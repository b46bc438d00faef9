"""Every architecture, honestly: fast where the engine honours all of its attention, else right and slower, or refused.

Tiny random models; all three requests against transformers' own forward pass of single rows, within 1e-4.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from winnow.models.load import load
from winnow.models.local.decoder import SHAPED
from winnow.models.local.model import LocalModel
from winnow.models.local.session import SlowPathWarning
from winnow.ports.requests import Complete, LogProb, NextToken, Request
from winnow.values.errors import CapabilityError
from winnow.values.random import Key
from winnow.values.tree import Tree

Tiny = Callable[..., str]
FAST: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama-biased": {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
    "llama-narrow": {"head_dim": 4, "num_hidden_layers": 1},
    "qwen2": {},
    "qwen3": {},
    "qwen3-biased": {"attention_bias": True},
    "mistral": {"sliding_window": None},
    "gpt2": {},
    "gpt_neox": {},
    "gemma2": {"sliding_window": 96, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
    "gemma3": {"sliding_window": 96},
    "phi3": {},
    "olmo2": {},
}
SLOW: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": 12},
    "gemma2": {"sliding_window": 12, "attn_logit_softcapping": 2.0},
    "gemma3": {"sliding_window": 12},
    "gpt_neo": {},
    "bloom": {},
    "falcon": {},
    "falcon-alibi": {"alibi": True},
    "gpt_oss": {},
}
PROMPTS = ("ab cd", "had a bed. he", "abcd efgh abcd efgh abcd", "g", "ab cdh", "ab cdh. a bee had a cab. fed. he")


def one(model: LocalModel, request: Request[Any]) -> Any:
    return dict(model.answer([request]))[0]


def opened(tiny_model: Tiny, kind: str, changes: dict[str, Any]) -> tuple[LocalModel, list[str]]:
    """The model, and what was said in slow paths while it loaded and answered a long row twice."""
    directory = tiny_model(kind.split("-")[0], **changes)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", SlowPathWarning)
        model = load(directory, device="cpu")
        assert isinstance(model, LocalModel)
        for _ in range(2):
            one(model, LogProb(prompts=("ab cd " * 6,), continuations=(("he",),)))
    return model, [str(warning.message) for warning in said if warning.category is SlowPathWarning]


@pytest.fixture(
    params=[*((kind, True) for kind in FAST), *((kind, False) for kind in SLOW)], ids=lambda p: f"{p[0]}-{p[1]}"
)
def case(request: pytest.FixtureRequest, tiny_model: Tiny) -> Iterator[tuple[LocalModel, list[str], bool]]:
    kind, fast = request.param
    model, said = opened(tiny_model, kind, (FAST if fast else SLOW)[kind])
    with warnings.catch_warnings():
        warnings.simplefilter("error", SlowPathWarning)  # it has been said, once
        yield model, said, fast


class Plain:
    """transformers' own forward pass, one row at a time.

    Eager attention honours everything (sdpa has no soft-cap), but for Falcon with ALiBi, whose two ways differ by 0.03 as
    one of them rounds the biases to bfloat16: there, the one transformers takes by itself.
    """

    def __init__(self, model: LocalModel) -> None:
        from transformers import AutoModelForCausalLM

        path = model.source["name"]
        way = {} if "falcon" in path else {"attn_implementation": "eager"}
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **way).eval()

    def __call__(self, tokens: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            return torch.log_softmax(
                self.model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0].double(), -1
            )


def test_slow_paths_are_said_once_and_fast_ones_taken(case: tuple[LocalModel, list[str], bool]) -> None:
    model, said, fast = case
    if fast and type(model._network.model).__name__ in SHAPED:
        assert model._network.decoder is not None
    assert len(said) == (0 if fast else 1), said
    if said:
        assert "slower" in said[0]


def test_every_answer_agrees_with_the_plain_forward(case: tuple[LocalModel, list[str], bool]) -> None:
    """A tree with forks after every position of a text; several continuations a prompt; greedy completions."""
    model, _, _ = case
    plain = Plain(model)
    rows = [model.codec.encode(prompt) for prompt in PROMPTS]
    _tree(model, plain, rows[-1])
    _scores(model, plain, rows)
    _greedy(model, plain, rows)


@pytest.mark.parametrize("largest", [2**24, 200])
@pytest.mark.parametrize("kind", FAST)
def test_one_fused_call_a_layer_gives_the_same(
    kind: str, largest: int, tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way that is taken off the CPU, taken on it; passes too large for it, and soft-caps, go the other way."""
    from winnow.models.local import attention, fused

    taken = list[bool]()
    monkeypatch.setattr(fused, "WORTH_WHOLE", largest)
    monkeypatch.setattr(attention, "fits", lambda view: taken.append(fused.fits(view)) or taken[-1])
    model, _ = opened(tiny_model, kind, FAST[kind])
    assert not taken  # on a CPU it is not asked
    model._network.whole = True
    plain = Plain(model)
    rows = [model.codec.encode(prompt) for prompt in PROMPTS]
    _tree(model, plain, rows[-1])
    _scores(model, plain, rows)
    _greedy(model, plain, rows)
    capped = kind == "gemma2"
    assert set(taken) == (set() if capped else {True} if largest > 200 else {True, False})


def _tree(model: LocalModel, plain: Plain, row: list[int]) -> None:
    """All positions of a text, and two tokens after each, in one request each; then all of them again."""
    tree, last, spine = Tree([row[:2]]), 0, [0]
    for token in row[2:]:
        tree, (last,) = tree.append([last], [token], [0.0])
        spine.append(int(last))
    tree, first = tree.append(np.repeat(spine, 2), [6, 9] * len(spine), np.zeros(2 * len(spine)))
    tree, second = tree.append(first, np.arange(len(first)) % 5 + 7, np.zeros(len(first)))
    for nodes in (np.array(spine), first, second, np.concatenate([second[::-1], np.array(spine), first])):
        reply = one(model, NextToken(tree=tree, nodes=nodes))
        for place, node in enumerate(nodes):
            expected = plain(tree.sequence(int(node)))[-1].numpy()
            np.testing.assert_allclose(reply.logprob[place], expected, atol=1e-4, rtol=0)


def _scores(model: LocalModel, plain: Plain, rows: list[list[int]]) -> None:
    words = (" a?", "abcd h", "abcd he", "e", "ab")
    scores = one(model, LogProb(prompts=PROMPTS, continuations=(words,) * len(PROMPTS)))
    _, tails = model.codec.encode_continuations(PROMPTS, [words] * len(PROMPTS))
    for index, row in enumerate(rows):
        for column, tail in enumerate(tails[index]):
            assert tail is not None
            after = plain(row + tail)[len(row) - 1 : -1]
            assert scores.logprob[index][column] == pytest.approx(float(after[range(len(tail)), tail].sum()), abs=1e-4)


def _greedy(model: LocalModel, plain: Plain, rows: list[list[int]]) -> None:
    """Greedy, so that tokens are known; from sequences of tokens, as a text may be cut into tokens in several ways."""
    reply = one(
        model,
        Complete(prompts=PROMPTS, slots=np.arange(len(PROMPTS)), key=Key(3), max_tokens=14, temperature=0),
    )
    for index, row in enumerate(rows):
        tokens, total = list(row), 0.0
        for _ in range(int(reply.num_tokens[index])):
            best = plain(tokens)[-1].max(0)
            tokens, total = [*tokens, int(best.indices)], total + float(best.values)
        assert reply.logprob[index] == pytest.approx(total, abs=1e-4)


def test_windows_are_shorter_than_the_texts(tiny_model: Tiny) -> None:
    """The sliding windows above cut something off: a wider window gives another answer."""
    narrow = Plain(opened(tiny_model, "mistral", SLOW["mistral"])[0])
    wide = Plain(opened(tiny_model, "mistral", FAST["mistral"])[0])
    row = list(range(5, 23)) * 2
    assert (narrow(row)[:12] - wide(row)[:12]).abs().max() < 1e-6
    assert (narrow(row)[-1] - wide(row)[-1]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["T5Config", "BartConfig"])
def test_what_is_no_causal_model_is_refused_by_name(kind: str, tiny_model: Tiny, tmp_path: Any) -> None:
    """T5's position bias, and every other encoder-decoder."""
    import shutil

    import transformers

    shutil.copytree(tiny_model("llama"), tmp_path / "m")
    config = getattr(transformers, kind)(architectures=[kind.replace("Config", "ForConditionalGeneration")])
    config.save_pretrained(tmp_path / "m")
    with pytest.raises(CapabilityError, match=f"{kind.removesuffix('Config')}ForConditionalGeneration"):
        load(str(tmp_path / "m"))


@pytest.mark.parametrize(
    ("place", "method", "reason"),
    [
        ("session.CachedSession", "step", "the cached step"),
        ("tree_cache.TreeCache", "hidden", "the growing tree"),
        ("branches.Branches", "feed", "disagrees"),
    ],
)
def test_each_load_would_see_an_error_of_one_part_in_a_thousand(
    place: str, method: str, reason: str, tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong cached step, tree or feed is noticed at load, and the model answered without them, right."""
    import importlib

    module, name = place.split(".")
    owner = getattr(importlib.import_module(f"winnow.models.local.{module}"), name)
    right = getattr(owner, method)
    monkeypatch.setattr(owner, method, lambda *args, **kwargs: right(*args, **kwargs) * 1.001)
    directory = tiny_model("llama")
    with pytest.warns(SlowPathWarning, match=reason):
        model = load(directory, device="cpu")
    assert isinstance(model, LocalModel)
    plain = Plain(model)
    _scores(model, plain, [model.codec.encode(prompt) for prompt in PROMPTS])
