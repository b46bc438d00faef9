"""The engine: nothing is fed twice, nobody gets another's cache, and what is remembered changes time, never results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from winnow.models.load import load
from winnow.models.local.model import LocalModel
from winnow.models.local.network import Counters
from winnow.ports.program import run
from winnow.ports.requests import Complete, LogProb, NextToken, Request
from winnow.search.beam import beam
from winnow.search.smc import Target, smc
from winnow.values.errors import MemoryBoundError, ModelError
from winnow.values.random import Key
from winnow.values.tree import Tree

Tiny = Callable[..., str]
KINDS = ["llama", "gpt2", "qwen3", "mistral", "gpt_neox", "gemma2"]
LONG = {"max_position_embeddings": 512}


def open_model(directory: str, **settings: Any) -> LocalModel:
    model = load(directory, **settings)
    assert isinstance(model, LocalModel)
    return model


def one(model: LocalModel, request: Request[Any]) -> Any:
    return dict(model.answer([request]))[0]


def letters(num: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("abcdefgh .?"), size=num))


def plain(model: LocalModel, rows: Iterable[list[int]]) -> np.ndarray:
    """Log-probabilities after each row ``[N, V]``, by transformers' own forward pass under its own attention."""
    network = model._network
    network._attention(network._native)
    with torch.inference_mode():
        last = [network.model(input_ids=torch.tensor([row])).logits[0, -1].double() for row in rows]
    return torch.log_softmax(torch.stack(last), -1).numpy()


def fed(model: LocalModel, do: Callable[[], Any]) -> int:
    """Tokens that went through the model while something was done."""
    model._network.counters = Counters()
    do()
    return model.counters.tokens_fed


def prefixes(sequences: Iterable[Iterable[int]]) -> int:
    """Distinct beginnings: what must be fed at least once."""
    return len({tuple(row)[:end] for row in map(tuple, sequences) for end in range(1, len(row) + 1)})


class Watched:
    """A model that notes which texts it is asked about."""

    def __init__(self, model: LocalModel) -> None:
        self.model, self.asked = model, set[tuple[int, ...]]()
        self.identity, self.answers = model.identity, model.answers

    def answer(self, requests: Any) -> Any:
        for request in requests:
            self.asked |= {tuple(request.tree.sequence(int(node))) for node in request.nodes}
        return self.model.answer(requests)


# ---- right, whatever happened to the tree


@pytest.mark.parametrize("particles", [5, 24])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_the_plain_forwards_after_a_hundred_resamplings_and_forks(
    kind: str, particles: int, tiny_model: Tiny
) -> None:
    """Particles that grow, are resampled, end, fall back and fork from earlier states of the tree: within 1e-4 of it."""
    model = open_model(tiny_model(kind))
    rng = np.random.default_rng(7)
    tree = Tree([model.codec.encode(letters(30, 1)), model.codec.encode(letters(20, 2))])
    states = [(tree, rng.integers(0, 2, particles))]
    for step in range(100):
        tree, nodes = states[-1]
        action = rng.integers(6)
        if action == 0:  # fork: another growth of an earlier state
            tree, nodes = states[rng.integers(len(states))]
        elif action == 1:  # some end
            nodes = nodes[: max(2, int(nodes.size * 0.6))]
        elif action == 2:
            nodes = rng.choice(nodes, particles)
        if len(tree.sequence(int(nodes[0]))) > 80:
            nodes = rng.integers(0, 2, particles)
        tokens = rng.integers(5, 20, nodes.size)
        tree, nodes = tree.append(nodes, tokens, np.zeros(nodes.size))
        states.append((tree, nodes))
        reply = one(model, NextToken(tree=tree, nodes=nodes))
        if step % 7 == 0 or step == 99:
            expected = plain(model, [tree.sequence(int(node)) for node in nodes])
            np.testing.assert_allclose(reply.logprob, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("together", [10, 24, 40])
def test_passes_of_any_size_give_the_same(together: int, tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed cut into passes smaller than a row of its block, of one row, and across rows."""
    model, cut = open_model(tiny_model("llama")), open_model(tiny_model("llama"))
    prompts = tuple(letters(20, 50) + letters(9, row % 20) for row in range(26))
    scored = LogProb(prompts=prompts, continuations=(("ab", "abcd h"),) * 26)
    requests: list[Request[Any]] = [scored]
    tree, nodes = Tree([model.codec.encode(prompt) for prompt in prompts[:3]]), np.arange(24) % 3
    for _ in range(6):
        tree, nodes = tree.append(nodes, 5 + np.arange(24) % 9, np.zeros(24))
        requests.append(NextToken(tree=tree, nodes=nodes))
    tree, nodes = tree.append(np.repeat(nodes, 2), np.tile([6, 9], 24), np.zeros(48))
    requests.append(NextToken(tree=tree, nodes=nodes))
    expected = [one(model, request) for request in requests]
    monkeypatch.setattr("winnow.models.local.branches.TOGETHER", together)
    for request, whole in zip(requests, expected, strict=True):
        np.testing.assert_allclose(np.array(one(cut, request).logprob), np.array(whole.logprob), atol=1e-4, rtol=0)


def test_prompts_that_differ_early_and_share_all_later_tokens_get_their_own_answers(tiny_model: Tiny) -> None:
    """In one tree, and in two trees whose nodes are numbered and written alike."""
    model = open_model(tiny_model("llama"))
    prompts = [model.codec.encode(start + "cdef gh?" * 3) for start in "ah"]
    assert prompts[0][2:] == prompts[1][2:]
    both = Tree(prompts)
    both, nodes = both.append([0, 1], [9, 9], [0, 0])
    reply = one(model, NextToken(tree=both, nodes=nodes))
    expected = plain(model, [[*prompt, 9] for prompt in prompts])
    np.testing.assert_allclose(reply.logprob, expected, atol=1e-4, rtol=0)
    assert np.abs(expected[0] - expected[1]).max() > 1e-2
    for row, prompt in enumerate(prompts):
        tree, node = Tree([prompt]).append([0], [9], [0])
        alone = one(model, NextToken(tree=tree, nodes=node))
        np.testing.assert_allclose(alone.logprob[0], expected[row], atol=1e-4, rtol=0)


def test_a_forked_tree_is_not_served_the_others_cache(tiny_model: Tiny) -> None:
    """Two trees grown from one, with the same parents and other tokens, asked in turn."""
    model = open_model(tiny_model("llama"))
    stem = Tree([model.codec.encode("ab cd")])
    one_tree, other = stem, stem
    node, twin = np.array([0]), np.array([0])
    for step in range(6):
        one_tree, node = one_tree.append(node, [6 + step], [0])
        other, twin = other.append(twin, [12 - step], [0])
        for tree, at in ((one_tree, node), (other, twin)):
            reply = one(model, NextToken(tree=tree, nodes=at))
            np.testing.assert_allclose(reply.logprob, plain(model, [tree.sequence(int(at[0]))]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_batches_of_1_7_and_64_agree_with_shared_and_ragged_prompts(kind: str, tiny_model: Tiny) -> None:
    """Equal prompts, prompts with a long common beginning, one a beginning of another, and some with nothing in common."""
    shared = letters(50, 3)
    prompts = [shared + letters(n, n) for n in range(0, 30, 2)] * 2 + [letters(n + 1, 90 + n) for n in range(34)]
    rows = ((" a", "abcd", "e.f", "eeee.", ""),) * len(prompts)
    texts, scores = [], []
    for size in (1, 7, 64):
        model = open_model(tiny_model(kind), batch_size=size)
        slots = np.arange(len(prompts))
        texts.append(one(model, Complete(prompts=tuple(prompts), slots=slots, key=Key(1), max_tokens=8, stop=("d.",))))
        scores.append(one(model, LogProb(prompts=tuple(prompts), continuations=rows)))
    for other in texts[1:]:
        assert other.text == texts[0].text
        np.testing.assert_allclose(other.logprob, texts[0].logprob, atol=1e-4, rtol=0)
    for other in scores[1:]:
        for row, expected in zip(other.logprob, scores[0].logprob, strict=True):
            np.testing.assert_allclose(row, expected, atol=1e-4, rtol=0)


# ---- fed once


def test_searches_feed_each_text_they_ask_about_once(tiny_model: Tiny) -> None:
    """Beam, and SMC that resamples: tokens fed = distinct beginnings of what was asked."""
    model = open_model(tiny_model("llama"))
    prompt = model.codec.encode(letters(40, 5))

    def potential(tree: Tree, nodes: Any) -> Any:
        yield from ()
        return np.where(tree.token[nodes] % 2, 0.0, -1.0)

    programs: list[Any] = [
        beam(Tree([prompt]), 0, width=8, depth=12),
        smc(Tree([prompt]), 0, num_particles=24, depth=12, key=Key(3), target=Target(potential=potential)),
    ]
    for program in programs:
        watched = Watched(model)
        count = fed(model, partial(run, program, watched))
        needed = prefixes(watched.asked)
        begun = 0 if program is programs[0] else len(prompt)  # the second finds the prompt's keys and values
        assert count == needed - begun


def test_all_positions_of_a_text_are_one_causal_pass(tiny_model: Tiny) -> None:
    """A text as a chain: each token fed once in one pass, its branches once each, and all of it right."""
    model = open_model(tiny_model("llama"))
    text = model.codec.encode(letters(60, 6))
    tree = Tree([text[:1]])
    for at, token in enumerate(text[1:]):
        tree, _ = tree.append([at], [token], [0])
    nodes = np.arange(len(text))
    model._network.counters = Counters()
    reply = one(model, NextToken(tree=tree, nodes=nodes, top=4))
    assert (model.counters.tokens_fed, model.counters.passes) == (len(text), 2)
    tree, born = tree.append(np.repeat(nodes, 4), reply.token.ravel(), reply.logprob.ravel())
    live, known = born.reshape(-1, 4), {tuple(text[: end + 1]) for end in range(len(text))}
    for _ in range(3):
        model._network.counters = Counters()
        reply = one(model, NextToken(tree=tree, nodes=live.ravel(), top=4))
        new = {tuple(tree.sequence(int(node))) for node in live.ravel()} - known  # the text's own next token is there
        assert (model.counters.tokens_fed, model.counters.passes) == (len(new), 1)
        known |= new
        expected = plain(model, [tree.sequence(int(node)) for node in live[::9].ravel()])
        full = one(model, NextToken(tree=tree, nodes=live[::9].ravel()))
        np.testing.assert_allclose(full.logprob, expected, atol=1e-4, rtol=0)
        parent = np.repeat(
            live[:, :2], 2, axis=1
        ).ravel()  # the first two beams of each position have two children each
        tree, born = tree.append(
            parent, (reply.token[:, 0] + np.tile([0, 1], parent.size // 2)) % model.codec.vocabulary_size, 0 * parent
        )
        live = born.reshape(-1, 4)


def test_asking_again_feeds_nothing_and_gives_the_same_bytes(tiny_model: Tiny) -> None:
    model = open_model(tiny_model("llama"))
    tree, nodes = Tree([model.codec.encode("ab cd")]).append([0] * 9, np.arange(5, 14), np.zeros(9))
    request = NextToken(tree=tree, nodes=nodes)
    first = one(model, request)
    again: list[Any] = []
    assert fed(model, lambda: again.append(one(model, request))) == 0
    assert again[0].logprob.tobytes() == first.logprob.tobytes()


def test_shared_beginnings_are_fed_once(tiny_model: Tiny) -> None:
    """Equal prompts, questions after one context, several contexts: tokens fed = distinct beginnings, to the token."""
    # the contexts share one token, which is fed with each: shorter beginnings than 32 tokens are not worth a pass
    model = open_model(tiny_model("llama", **LONG))
    context = letters(150, 8)
    for prompts in (
        [context] * 64,
        [context + letters(12, row) for row in range(40)],
        [letters(60, 100 + row % 4) + letters(9, row) for row in range(40)],
    ):
        model._prefixes._root.below.clear()
        rows = [model.codec.encode(prompt) for prompt in prompts]
        slots = np.arange(len(prompts))
        request = Complete(prompts=tuple(prompts), slots=slots, key=Key(0), max_tokens=1)
        again = 3 if prompts[0] != prompts[1] and len(prompts[0]) < 150 else 0
        assert fed(model, partial(one, model, request)) == prefixes(rows) + again
        model._prefixes._root.below.clear()
        words = ("ab d", "ab.", "h")
        scored = LogProb(prompts=tuple(prompts), continuations=(words,) * len(prompts))
        heads, tails = model.codec.encode_continuations(prompts, [words] * len(prompts))
        whole = [head + (tail or [])[:-1] for head, many in zip(heads, tails, strict=True) for tail in many]
        assert fed(model, partial(one, model, scored)) == prefixes(whole) + again


def test_rows_that_ended_are_not_fed_on(tiny_model: Tiny) -> None:
    """With most completions ending early, at most a third of what is fed belongs to rows that have ended."""
    model = open_model(tiny_model("llama"))
    prompts = tuple(letters(5, row) for row in range(64))
    reply: list[Any] = []
    request = Complete(prompts=prompts, slots=np.arange(64), key=Key(2), max_tokens=40, stop=("a",))
    count = fed(model, lambda: reply.append(one(model, request)))
    drawn = int(reply[0].num_tokens.sum())
    prompt_tokens = prefixes(model.codec.encode(prompt) for prompt in prompts)
    assert int((reply[0].num_tokens < 20).sum()) >= 32
    assert count <= prompt_tokens + 4 / 3 * drawn


def test_of_what_is_not_read_the_last_layer_makes_keys_and_values_alone(tiny_model: Tiny) -> None:
    """Contexts, items and words: every layer but the last goes over all tokens, the last over those that are read."""
    model = open_model(tiny_model("llama", **LONG))
    decoder, rows = model._network.decoder, {"first": 0, "last": 0}
    assert decoder is not None

    def counted(name: str, product: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        def count(x: torch.Tensor) -> torch.Tensor:
            rows[name] += x.shape[0]
            return product(x)

        return count

    model._network.counters = Counters()
    for name, at in (("first", 0), ("last", -1)):
        layer = decoder.layers[at]
        decoder.layers[at] = layer._replace(down=counted(name, layer.down))
    words = ("ab d", "ab.", "h")
    prompts = tuple(letters(150, 8) + letters(20, row) for row in range(40))
    one(model, LogProb(prompts=prompts, continuations=(words,) * 40))
    heads, tails = model.codec.encode_continuations(prompts, [words] * 40)
    read = {
        (*head, *tail[:end]) for head, many in zip(heads, tails) for tail in many if tail for end in range(len(tail))
    }
    segments = 2  # of the context, each of which keeps its last state
    assert rows["first"] == model.counters.tokens_fed
    assert rows["last"] == len(read) + segments
    rows.update(first=0, last=0)
    request = Complete(prompts=(letters(120, 9),), slots=np.arange(1), key=Key(1), max_tokens=9, temperature=0)
    prompt = len(model.codec.encode(request.prompts[0]))
    assert fed(model, partial(one, model, request)) == rows["first"] > prompt
    assert rows["last"] == rows["first"] - prompt + 1


# ---- remembered across requests


def test_what_is_remembered_changes_no_byte(tiny_model: Tiny) -> None:
    """A request after others that share parts of its prompts gets the bytes it gets from a model just loaded."""
    directory = tiny_model("llama", **LONG)
    context = letters(300, 11)
    prompts = tuple(context + letters(7, row) for row in range(12))
    complete = Complete(prompts=prompts, slots=np.arange(12), key=Key(4), max_tokens=6)
    score = LogProb(prompts=prompts, continuations=(("ab", "c d"),) * 12)
    fresh, used = open_model(directory), open_model(directory)
    expected = one(fresh, complete), one(open_model(directory), score)
    for other in (context[:200], context[:140] + "aaaa", context + letters(30, 5), context):
        one(used, Complete(prompts=(other,) * 3, slots=np.arange(3), key=Key(5), max_tokens=2))
    got: list[Any] = []
    again = fed(used, lambda: got.extend([one(used, complete), one(used, score)]))
    assert got[0].text == expected[0].text
    assert got[0].logprob.tobytes() == expected[0].logprob.tobytes()
    assert [row.tobytes() for row in got[1].logprob] == [row.tobytes() for row in expected[1].logprob]
    assert again < fed(open_model(directory), lambda: None) + 2 * prefixes(map(used.codec.encode, prompts)) - 200


def test_a_search_does_not_depend_on_the_one_before(tiny_model: Tiny) -> None:
    model = open_model(tiny_model("llama"))
    prompt = model.codec.encode(letters(20, 12))

    def searched(to: LocalModel, width: int) -> bytes:
        result = run(beam(Tree([prompt]), 0, width=width, depth=6), to)
        return result.tree.logprob.tobytes()

    expected = searched(open_model(tiny_model("llama")), 9)
    searched(model, 20)
    assert searched(model, 9) == expected


def test_eviction_under_a_small_bound_changes_time_not_results(tiny_model: Tiny) -> None:
    """Two contexts asked in turn under a bound that holds one: the same bytes, and more fed."""
    directory = tiny_model("llama", **LONG)
    requests = []
    for turn in range(6):
        prompts = tuple(letters(200, turn % 2) + letters(6, row) for row in range(8))
        requests.append(Complete(prompts=prompts, slots=np.arange(8), key=Key(turn), max_tokens=4))
    large = open_model(directory)
    bound = large._network.token_bytes * 400
    small = bounded(directory, bound)
    counts, replies = [], []
    for model in (large, small):
        model._network.counters = Counters()
        replies.append([one(model, request) for request in requests])
        counts.append(model.counters.tokens_fed)
    for a, b in zip(*replies, strict=True):
        assert a.text == b.text
        assert a.logprob.tobytes() == b.logprob.tobytes()
    assert counts[1] > counts[0] + 100
    assert small._memory.held <= bound


def test_batches_split_to_fit_into_memory(tiny_model: Tiny) -> None:
    directory = tiny_model("llama", **LONG)
    prompts = tuple(letters(30 + row, row) for row in range(40))
    request = Complete(prompts=prompts, slots=np.arange(40), key=Key(6), max_tokens=10)
    large = open_model(directory)
    small = bounded(directory, large._network.token_bytes * 600)
    expected, reply = one(large, request), one(small, request)
    assert reply.text == expected.text
    np.testing.assert_allclose(reply.logprob, expected.logprob, atol=1e-4, rtol=0)
    assert small.counters.peak_bytes <= small._memory.limit < large.counters.peak_bytes


def test_scoring_splits_to_fit_into_memory_too(tiny_model: Tiny) -> None:
    """What continuations take is counted: no more is laid out than the bound allows, but for empty places of a block."""
    directory = tiny_model("llama", **LONG)
    prompts = tuple(letters(8, row) for row in range(40))
    words = tuple(letters(12, 100 + row) for row in range(10))
    request = LogProb(prompts=prompts, continuations=(words,) * 40)
    large = open_model(directory)
    bound = large._network.token_bytes * 600
    small, laid_out = bounded(directory, bound), list[int]()
    give = small._network.spare.give
    small._network.spare.give = lambda store: laid_out.append(store.used) or give(store)  # type: ignore[func-returns-value]
    for expected, found in zip(one(large, request).logprob, one(small, request).logprob, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    assert len(laid_out) > 4
    assert max(laid_out) <= 2 * 600


def test_a_search_that_begins_anew_lets_one_asked_before_it_finish(tiny_model: Tiny) -> None:
    """A step of a tree and, in the same call behind it, its roots alone: the step finds its nodes, to the byte."""
    model, other = open_model(tiny_model("llama")), open_model(tiny_model("llama"))
    roots = Tree([model.codec.encode(letters(30, 1))])
    tree, nodes = roots.append([0] * 9, np.arange(5, 14), np.zeros(9))
    grown, leaves = tree.append(nodes, np.arange(6, 15), np.zeros(9))
    step, begin = NextToken(tree=grown, nodes=leaves), NextToken(tree=roots, nodes=np.array([0]))
    for one_model in (model, other):
        one(one_model, NextToken(tree=tree, nodes=nodes))
    replies: list[Any] = []
    assert fed(model, lambda: replies.append(dict(model.answer([step, begin])))) == 9
    assert replies[0][0].logprob.tobytes() == one(other, step).logprob.tobytes()
    assert replies[0][1].logprob.tobytes() == one(open_model(tiny_model("llama")), begin).logprob.tobytes()


@pytest.mark.parametrize("name", ["lm_head", "q_proj", "o_proj", "input_layernorm", "embed_tokens"])
def test_a_weight_that_has_changed_is_used_as_it_is_now(name: str, tiny_model: Tiny) -> None:
    """Nothing is answered from what was laid out or remembered before."""
    model = open_model(tiny_model("llama"))
    prompts = tuple(letters(20, 3) + letters(4, row) for row in range(6))
    request = LogProb(prompts=prompts, continuations=(("ab", "cd"),) * 6)
    before = np.array(one(model, request).logprob)
    with torch.no_grad():
        next(p for n, p in model._network.model.named_parameters() if name in n).mul_(1.5)
    after = np.array(one(model, request).logprob)
    heads, tails = model.codec.encode_continuations(prompts, request.continuations)
    for row, (head, many) in enumerate(zip(heads, tails, strict=True)):
        for column, tail in enumerate(many):
            steps = plain(model, [head + (tail or [])[:end] for end in range(len(tail or []))])
            assert after[row, column] == pytest.approx(sum(steps[range(len(tail or [])), tail]), abs=1e-4)
    assert np.abs(after - before).max() > 1e-3


def test_a_bound_too_small_names_what_would_fit(tiny_model: Tiny) -> None:
    directory = tiny_model("llama", **LONG)
    model = bounded(directory, open_model(directory)._network.token_bytes * 100)
    request = Complete(prompts=(letters(150, 1),), slots=np.arange(1), key=Key(0), max_tokens=50)
    with pytest.raises(MemoryBoundError, match=r"tokens of one row need .* the bound is .*at most 100 tokens fit"):
        one(model, request)
    tree = Tree([model.codec.encode(letters(150, 1))])
    with pytest.raises(MemoryBoundError, match=r"tokens of a search's tree .*at most 100 tokens fit"):
        one(model, NextToken(tree=tree, nodes=np.array([0])))


def bounded(directory: str, limit: int) -> LocalModel:
    return open_model(directory, memory=limit / 2**20)


# ---- damaged


def test_nan_names_the_model_and_the_prompt(tiny_model: Tiny) -> None:
    model = open_model(tiny_model("llama", seed=9))
    bad = model.codec.encode("h")[-1]
    with torch.no_grad():
        model._network.model.get_input_embeddings().weight[bad] = float("nan")
    tree = Tree([model.codec.encode("ab")])
    tree, nodes = tree.append([0, 0], [bad, bad - 1], [0, 0])
    with pytest.raises(ModelError, match=r"tiny-llama.*NaN.*'abh'"):
        one(model, NextToken(tree=tree, nodes=nodes))
    with pytest.raises(ModelError, match=r"tiny-llama.*NaN.*'ab hab'"):
        one(model, Complete(prompts=("abc", "ab hab"), slots=np.arange(2), key=Key(0), max_tokens=3))
