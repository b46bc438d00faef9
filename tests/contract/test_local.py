"""The local backend: rows in a batch are rows alone, whatever their lengths, their neighbours and the batch size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from winnow.models.load import load
from winnow.models.local.model import LocalModel
from winnow.models.local.session import SlowPathWarning
from winnow.ports.requests import Complete, Completions, LogProb, LogProbs, Message, NextToken, Request
from winnow.values.errors import CapabilityError, ContextError, InputError, ModelError
from winnow.values.random import Key
from winnow.values.tree import Tree

Tiny = Callable[..., str]
KINDS = ["llama", "gpt2", "qwen3", "mistral"]
NUM = 70


def open_model(directory: str, **settings: Any) -> LocalModel:
    model = load(directory, **settings)
    assert isinstance(model, LocalModel)
    return model


def one(model: LocalModel, request: Request[Any]) -> Any:
    return dict(model.answer([request]))[0]


def ragged(num: int = NUM) -> tuple[str, ...]:
    """Prompts of 1 to 60 characters, some equal."""
    letters = "abcdabcdefgh .?"
    rng = np.random.default_rng(3)
    texts = ["".join(rng.choice(list(letters), size=rng.integers(1, 60))) for _ in range(num)]
    texts[10] = texts[-1] = texts[4]
    return tuple(texts)


def plain(model: LocalModel, tokens: list[int]) -> torch.Tensor:
    """Log-probabilities [T, V] by transformers' own forward pass of one row."""
    with torch.inference_mode():
        return torch.log_softmax(model._network.model(input_ids=torch.tensor([tokens])).logits[0].double(), -1)


def written(model: LocalModel, **changes: Any) -> Completions:
    settings: dict[str, Any] = {"max_tokens": 12, "stop": ("d.", "f\n"), **changes}
    prompts = settings.pop("prompts", ragged())
    return one(model, Complete(prompts=prompts, slots=np.arange(len(prompts)), key=Key(7), **settings))


def scored(model: LocalModel) -> LogProbs:
    rows = tuple((" a", "abcd", "e.f", "eeee.", "") if row % 3 else ("abcdab cd?", "h") for row in range(NUM))
    return one(model, LogProb(prompts=ragged(), continuations=rows))


@pytest.mark.parametrize("kind", KINDS)
def test_batch_size_changes_no_decision_and_no_number(kind: str, tiny_model: Tiny) -> None:
    """Batches of 1, 7 and 64 ragged rows: the same completions, log-probabilities within 1e-4."""
    models = [open_model(tiny_model(kind), batch_size=size) for size in (1, 7, 64)]
    completions, scores = [written(model) for model in models], [scored(model) for model in models]
    for other in completions[1:]:
        assert other.text == completions[0].text
        assert other.finish == completions[0].finish
        np.testing.assert_allclose(other.logprob, completions[0].logprob, atol=1e-4, rtol=0)
    for score in scores[1:]:
        for row, expected in zip(score.logprob, scores[0].logprob, strict=True):
            np.testing.assert_allclose(row, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_same_batch_size_gives_the_same_bytes(kind: str, tiny_model: Tiny) -> None:
    one_model, other = open_model(tiny_model(kind)), open_model(tiny_model(kind))
    assert written(one_model).logprob.tobytes() == written(other).logprob.tobytes()
    assert [r.tobytes() for r in scored(one_model).logprob] == [r.tobytes() for r in scored(other).logprob]


@pytest.mark.filterwarnings("ignore::winnow.models.local.session.SlowPathWarning")
@pytest.mark.parametrize("kind", [*KINDS, "gpt_neox", "gemma2", "bloom"])
def test_everything_agrees_with_the_plain_forward(kind: str, tiny_model: Tiny) -> None:
    """NextToken, LogProb over several tokens, and the log-probability of greedy completions, row by row."""
    model = open_model(tiny_model(kind))
    prompts = ragged(20)
    rows = [model.codec.encode(prompt) for prompt in prompts]
    tree = Tree(rows)
    full = one(model, NextToken(tree=tree, nodes=np.arange(len(rows)))).logprob
    scores = one(model, LogProb(prompts=prompts, continuations=((" a?", "abcd h"),) * len(prompts)))
    greedy = written(model, prompts=prompts, temperature=0, stop=())
    for index, row in enumerate(rows):
        np.testing.assert_allclose(full[index], plain(model, row)[-1], atol=1e-4, rtol=0)
        for column, words in enumerate((" a?", "abcd h")):
            _, [[tail]] = model.codec.encode_continuations([prompts[index]], [[words]])
            assert tail is not None
            after = plain(model, row + tail)[len(row) - 1 : -1]
            assert scores.logprob[index][column] == pytest.approx(float(after[range(len(tail)), tail].sum()), abs=1e-4)
        tokens, total = list(row), 0.0
        for _ in range(int(greedy.num_tokens[index])):
            best = plain(model, tokens)[-1].max(0)
            tokens, total = [*tokens, int(best.indices)], total + float(best.values)
        assert greedy.logprob[index] == pytest.approx(total, abs=1e-4)


def test_prompts_that_share_an_end_get_their_own_answers(tiny_model: Tiny) -> None:
    """Two prompts that differ early and agree in all later tokens."""
    model = open_model(tiny_model("llama"))
    prompts = ("a" + "cdef gh?" * 3, "h" + "cdef gh?" * 3)
    rows = [model.codec.encode(prompt) for prompt in prompts]
    assert len(rows[0]) == len(rows[1])
    assert rows[0][2:] == rows[1][2:]
    reply = one(model, LogProb(prompts=prompts, continuations=(("ab", "e"),) * 2))
    for row, values in zip(rows, reply.logprob, strict=True):
        [second] = model.codec.encode_continuations(["a"], [["e"]])[1][0]
        assert second is not None
        assert values[1] == pytest.approx(float(plain(model, row)[-1, second[0]]), abs=1e-4)
    assert abs(reply.logprob[0][1] - reply.logprob[1][1]) > 1e-3


def test_tree_nodes_stand_for_their_whole_prefix(tiny_model: Tiny) -> None:
    model = open_model(tiny_model("llama"))
    tree = Tree([model.codec.encode("ab"), model.codec.encode("had a bed")])
    tree, first = tree.append([0, 1, 0], [7, 7, 9], [0, 0, 0])
    tree, second = tree.append(first, [8, 8, 8], [0, 0, 0])
    nodes = np.array([*second, 0, second[0]])
    reply = one(model, NextToken(tree=tree, nodes=nodes, top=3))
    for row, node in enumerate(nodes):
        expected = plain(model, tree.sequence(int(node)))[-1].sort(descending=True)
        assert reply.token[row].tolist() == expected.indices[:3].tolist()
        np.testing.assert_allclose(reply.logprob[row], expected.values[:3], atol=1e-4, rtol=0)


def test_stop_strings_are_matched_on_text_not_on_tokens(tiny_model: Tiny) -> None:
    """Each completion is cut where the unstopped one first holds the string, wherever its tokens end."""
    model = open_model(tiny_model("llama"))
    free = written(model, stop=(), max_tokens=30, prompts=ragged(40))
    stopped = written(model, stop=("bc", "d f", "h?"), max_tokens=30, prompts=ragged(40))
    merged = ("ab", "cd", "abcd", " a", "e.", ".f")
    for whole, text, finish in zip(free.text, stopped.text, stopped.finish, strict=True):
        places = [place for place in (whole.find(string) for string in ("bc", "d f", "h?")) if place >= 0]
        assert text == (whole[: min(places)] if places else whole)
        assert (finish == "stop") == bool(places)
    assert stopped.finish.count("stop") >= 5
    assert any(word in text for text in stopped.text for word in merged)


def test_rows_that_end_early_leave_without_a_trace(tiny_model: Tiny) -> None:
    """Whether others finish first - and the batch shrinks - changes nothing for those that go on."""
    model = open_model(tiny_model("llama"))
    stopped = written(model, stop=("a",), max_tokens=30)
    assert np.median(stopped.num_tokens) * 3 < stopped.num_tokens.max()
    for row in np.argsort(-stopped.num_tokens)[:4].tolist():
        alone = one(
            model,
            Complete(prompts=(ragged()[row],), slots=np.array([row]), key=Key(7), max_tokens=30, stop=("a",)),
        )
        assert alone.text == (stopped.text[row],)
        assert alone.logprob[0] == pytest.approx(stopped.logprob[row], abs=1e-4)


def test_the_models_own_end_ends_a_completion(tiny_model: Tiny) -> None:
    model = open_model(tiny_model("llama"))
    reply = written(model, stop=(), max_tokens=30)
    ended = [row for row, finish in enumerate(reply.finish) if finish == "end"]
    assert ended
    assert all(reply.num_tokens[row] <= 30 and "</s>" not in reply.text[row] for row in ended)
    assert model.codec.end_tokens == (2,)


def test_sampling_has_the_models_distribution(tiny_model: Tiny) -> None:
    """First tokens of 4000 completions against the tempered, cut distribution: within five standard errors each."""
    model = open_model(tiny_model("llama"))
    num, prompt = 4000, "ab cd"
    probability = (plain(model, model.codec.encode(prompt))[-1] / 1.5).softmax(-1).numpy()
    order = np.argsort(-probability, kind="stable")
    before = np.cumsum(probability[order]) - probability[order]
    probability[order[before >= 0.8]] = 0
    probability /= probability.sum()
    model._batch_size = 500
    request = Complete(
        prompts=(prompt,) * num, slots=np.arange(num), key=Key(1), max_tokens=1, temperature=1.5, top_p=0.8
    )
    reply = one(model, request)
    for token in np.flatnonzero(probability > 0):
        text = model.codec.decode([int(token)])
        if int(token) in range(5):
            continue  # special tokens have no text
        share = sum(written == text for written in reply.text) / num
        error = np.sqrt(probability[token] * (1 - probability[token]) / num)
        assert abs(share - probability[token]) <= 5 * error, text
    impossible = {model.codec.decode([int(t)]) for t in np.flatnonzero(probability == 0) if t > 4}
    assert not impossible & set(reply.text)


def test_cost_counts_tokens_without_padding(tiny_model: Tiny) -> None:
    model = open_model(tiny_model("llama"))
    prompts = ("a", "cdcdh", "a")
    reply = one(model, LogProb(prompts=prompts, continuations=(("h", "hh", "hhh"), ("h",), ())))
    assert reply.cost == (3, 2 + 4 + 2, 0)  # <s>a once; <s> cd cd h; two inner nodes
    assert reply.num_tokens[0].tolist() == [1, 2, 3]
    completed = one(model, Complete(prompts=prompts, slots=np.arange(3), key=Key(0), max_tokens=2))
    assert completed.cost == (3, 2 + 4, int(completed.num_tokens.sum()))


def test_context_is_checked_before_any_work(tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_model(tiny_model("llama"))
    for half in ("forward", "trunk"):
        monkeypatch.setattr(model._network, half, lambda *args: pytest.fail("worked"))
    fits = LogProb(prompts=("a",), continuations=(("b",),))
    long = Complete(prompts=("a", "h" * 94), slots=np.arange(2), key=Key(0), max_tokens=2)
    with pytest.raises(ContextError, match=r"prompt 2 of 2 has 95 tokens and 2 more, the context holds 96"):
        list(model.answer([fits, long]))


def test_a_full_context_is_no_error(tiny_model: Tiny) -> None:
    model = open_model(tiny_model("gpt2", start=False))
    reply = one(model, Complete(prompts=("h" * 90,), slots=np.arange(1), key=Key(0), max_tokens=6))
    assert reply.num_tokens[0] <= 6


def test_nan_is_an_error_that_names_model_and_prompt(tiny_model: Tiny) -> None:
    model = open_model(tiny_model("llama", seed=9))
    with torch.no_grad():
        model._network.model.get_input_embeddings().weight[model.codec.encode("h")[-1]] = float("nan")
    assert np.isfinite(one(model, LogProb(prompts=("a",), continuations=(("b",),))).logprob[0]).all()
    with pytest.raises(ModelError, match=r"tiny-llama.*NaN.*'ab hab'"):
        one(model, LogProb(prompts=("abc", "ab hab"), continuations=(("b",),) * 2))


def test_unknown_words(tiny_model: Tiny) -> None:
    """A prompt of nothing but unknown tokens is an error; a continuation with one has probability zero."""
    model = open_model(tiny_model("llama"))
    with pytest.raises(InputError, match="no tokens for 'xyz'"):
        written(model, prompts=("xyz",))
    reply = one(model, LogProb(prompts=("ab",), continuations=(("x", "a", "bx"),)))
    assert np.isneginf(reply.logprob[0]).tolist() == [True, False, True]


def test_chat_goes_through_the_template(tiny_model: Tiny) -> None:
    model = open_model(tiny_model("qwen3", chat=True))
    assert model.chat
    user, reply = 3, 4
    assert model.codec.encode((Message("user", "h"),)) == [user, model.codec.encode("h")[-1], reply]
    resumed = model.codec.encode((Message("user", "h"), Message("assistant", "g")))
    assert resumed == [user, model.codec.encode("h")[-1], reply, model.codec.encode("g")[-1]]
    text = open_model(tiny_model("llama"))
    assert not text.chat
    with pytest.raises(CapabilityError, match="chat template"):
        text.codec.encode((Message("user", "h"),))


def test_sliding_window_is_honoured_and_said_once(tiny_model: Tiny) -> None:
    """Rows beyond the window are answered without a cache, right, with one warning."""
    model = open_model(tiny_model("mistral", sliding_window=20))
    short, long = ("ab",), ("h" * 40,)
    request = LogProb(prompts=long, continuations=(("gh", "e"),))
    one(model, LogProb(prompts=short, continuations=(("gh",),)))
    with pytest.warns(SlowPathWarning, match="window of 20"):
        reply = one(model, request)
    one(model, request)
    row, tail = model.codec.encode(long[0]), model.codec.encode("gh")[1:]
    expected = plain(model, row + tail)[len(row) - 1 : -1][range(2), tail].sum()
    assert reply.logprob[0][0] == pytest.approx(float(expected), abs=1e-4)


def test_a_model_whose_cache_cannot_be_used_says_so_and_is_right(tiny_model: Tiny) -> None:
    """An architecture with other state than keys and values takes the plain path."""
    directory = tiny_model("llama", seed=11)
    import winnow.models.local.proof as proof

    original, proof.window = proof.window, lambda config, context: 0
    try:
        with pytest.warns(SlowPathWarning, match="without a cache"):
            slow = open_model(directory)
    finally:
        proof.window = original
    fast = open_model(directory)
    assert slow._reach == 0
    assert fast._reach == 96
    assert written(slow).text == written(fast).text
    np.testing.assert_allclose(written(slow).logprob, written(fast).logprob, atol=1e-4, rtol=0)
    for one_row, other in zip(scored(slow).logprob, scored(fast).logprob, strict=True):
        np.testing.assert_allclose(one_row, other, atol=1e-4, rtol=0)
