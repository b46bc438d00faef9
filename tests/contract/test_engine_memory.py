"""Where the engine's memory goes: nothing unwritten is read, what is kept is kept in place, the dead are left behind."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from winnow.models.load import load
from winnow.models.local import attention, branches
from winnow.models.local.cache import Spare, Store
from winnow.models.local.memory import Memory
from winnow.models.local.model import LocalModel
from winnow.models.local.network import Network
from winnow.models.local.session import CachedSession
from winnow.models.local.tree_cache import TreeCache
from winnow.models.local.view import View
from winnow.ports.requests import Complete, LogProb, NextToken
from winnow.values.random import Key
from winnow.values.tree import Tree

Tiny = Callable[..., str]


def open_model(directory: str) -> LocalModel:
    model = load(directory)
    assert isinstance(model, LocalModel)
    return model


def grown(model: LocalModel, num: int, depth: int) -> np.ndarray:
    """Log-probabilities ``[num, V]`` after particles of which some die, end or fork at each step."""
    rng = np.random.default_rng(5)
    tree, nodes = Tree([model.codec.encode("ab cd"), model.codec.encode("ab dc h")]), np.arange(num) % 2
    for step in range(depth):
        parents = rng.choice(nodes, num - step % 3) if step % 5 else nodes[: num // 2].repeat(2)
        tree, nodes = tree.append(parents, rng.integers(5, 20, parents.size), np.zeros(parents.size))
        reply = dict(model.answer([NextToken(tree=tree, nodes=nodes)]))[0]
    return np.asarray(reply.logprob)


def scored(model: LocalModel) -> np.ndarray:
    prompts = tuple("ab cd ef gh" + "abcdefgh"[row % 8] * (1 + row % 5) for row in range(20))
    return np.array(dict(model.answer([LogProb(prompts=prompts, continuations=(("ab", "cd e"),) * 20)]))[0].logprob)


def written(model: LocalModel, num: int, length: int) -> torch.Tensor:
    """Log-probabilities of rows of which one leaves every third step."""
    rows = [model.codec.encode("ab cd" + "efgh"[row % 4] * (row % 3)) for row in range(num)]
    with torch.inference_mode():
        session = CachedSession(model._network, rows, length)
        for step in range(length):
            logprob = session.step(torch.arange(len(session.rows)) % 9 + 5)
            if step % 3 == 2:
                session.keep([row for row in range(len(session.rows)) if row != step % 4])
    return logprob


@pytest.mark.parametrize("together", [None, 10])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "gpt2"])
def test_what_was_never_written_is_never_read(
    kind: str, together: int | None, tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laid out full of NaN, buffers give the answers they give full of zeros: what a mask hides was cleared."""
    if together:
        monkeypatch.setattr(branches, "TOGETHER", together)
    new_empty = torch.Tensor.new_empty

    def answers(value: float) -> list[Any]:
        def filled(self: torch.Tensor, *arguments: Any, **settings: Any) -> torch.Tensor:
            made = new_empty(self, *arguments, **settings)
            return made.fill_(value) if made.is_floating_point() else made

        monkeypatch.setattr(torch.Tensor, "new_empty", filled)
        model = open_model(tiny_model(kind))
        return [grown(model, 6, 30), grown(model, 26, 40), scored(model), written(model, 12, 25)]

    for zeros, nans in zip(answers(0.0), answers(float("nan")), strict=True):
        np.testing.assert_array_equal(zeros, nans)


def test_heads_in_turn_and_all_at_once_give_the_same(tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the bounds on what attention takes at once, answers agree within 1e-5."""
    expected = [do(open_model(tiny_model("gemma2"))) for do in (lambda m: grown(m, 26, 40), scored)]
    for at_once, few_rows in ((1, 16), (2000, 3), (2**19, 1000)):
        monkeypatch.setattr(attention, "AT_ONCE", at_once)
        monkeypatch.setattr(attention, "FEW_ROWS", few_rows)
        model = open_model(tiny_model("gemma2"))
        for one, other in zip(expected, (grown(model, 26, 40), scored(model)), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, rtol=0)


def test_rows_that_are_kept_stay_in_their_buffers(tiny_model: Tiny) -> None:
    """Rows leaving lay out nothing new, and free the slots of those that left."""
    model = open_model(tiny_model("llama"))
    rows = [model.codec.encode("ab" + letter) for letter in "cdefgh"] * 4
    with torch.inference_mode():
        session = CachedSession(model._network, rows, 10)
        session.step(torch.full((24,), 7))
        session.step(torch.full((24,), 8))
        before, buffers = session.branches.store, session.branches.store.layer(0)
        session.keep(range(0, 24, 3))
        after = session.branches.store
        session.step(torch.full((8,), 9))
    assert after is before
    assert all(one is other for one, other in zip(buffers, after.layer(0), strict=True))
    assert after.used < 24 + 24 + 24


def test_buffers_of_what_is_done_serve_the_next_and_change_no_byte(tiny_model: Tiny) -> None:
    """Rows after other rows lie in their buffers, full of them, and get the bytes they get in fresh ones."""
    first, second = open_model(tiny_model("llama")), open_model(tiny_model("llama"))
    long, short = (
        Complete(prompts=(text,) * 12, slots=np.arange(12), key=Key(3), max_tokens=num, temperature=0.0)
        for text, num in (("ab cd efgh had a bed", 30), ("he had a cab", 20))
    )
    dict(first.answer([long]))
    assert first._network.spare._store is not None
    left = first._network.spare._store.layer(0)[0].data_ptr()
    one, other = dict(first.answer([short]))[0], dict(second.answer([short]))[0]
    assert first._network.spare._store.layer(0)[0].data_ptr() == left
    np.testing.assert_array_equal(one.logprob, other.logprob)
    assert one.text == other.text


def test_buffers_that_are_left_behind_give_way(tiny_model: Tiny) -> None:
    """They count as held, are the first to go whatever is older, and are not kept where there is no room."""
    memory = Memory(10_000, "a model")
    memory.hold("older", 1_000, lambda: None)
    spare, stores = Spare(memory), [Store(1, 40), Store(1, 50)]
    for store in stores:
        store.write(0, 0, None, torch.ones(20, 1, 20), torch.ones(20, 1, 20))
    spare.give(stores[0])
    assert memory.held - 1_000 == stores[0].nbytes == 3_200
    spare.give(stores[1])  # larger: instead of it
    assert memory.held == 4_200
    memory.make_room(7_000)
    assert memory.held == 1_000
    assert spare.take(1, 10) not in stores
    memory.hold("another", 8_000, lambda: None)
    spare.give(stores[0])
    assert spare.take(1, 10) is not stores[0]
    assert memory.held == 9_000


def test_a_beams_step_does_not_grow_with_what_it_dropped(tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """All children of one of eight nodes, a hundred times: attention spans what lives, not the eight hundred fed."""
    model, spans = open_model(tiny_model("llama", max_position_embeddings=512)), list[int]()
    trunk = Network.trunk

    def watched(self: Network, tokens: Any, positions: Any, view: View, *read: Any) -> torch.Tensor:
        spans.append(sum(end - start for _, start, end in view.seen))
        return trunk(self, tokens, positions, view, *read)

    monkeypatch.setattr(Network, "trunk", watched)
    tree, nodes = Tree([model.codec.encode("ab cd")]), np.array([0])
    for step in range(100):
        tree, nodes = tree.append(np.repeat(nodes[step % nodes.size], 8), np.arange(5, 13), np.zeros(8))
        dict(model.answer([NextToken(tree=tree, nodes=nodes)]))
    assert len(tree) == 801
    assert max(spans) <= 2 * 108 + 8


def test_a_growing_tree_stays_in_its_buffers(tiny_model: Tiny) -> None:
    """Eight hundred nodes later nothing was moved, so that nothing stood in memory twice."""
    model = open_model(tiny_model("llama", max_position_embeddings=512))
    tree, nodes = Tree([model.codec.encode("ab cd")]), np.array([0])
    found = []
    for _ in range(100):
        tree, nodes = tree.append(nodes if nodes.size == 8 else np.repeat(nodes, 8), np.arange(5, 13), np.zeros(8))
        dict(model.answer([NextToken(tree=tree, nodes=nodes)]))
        grown_in = model._trees.find(tree).branches
        assert grown_in is not None
        found.append(grown_in.store.layer(0)[0].data_ptr())
    assert len(set(found)) == 1
    assert grown_in.store.used >= 800


def test_buffers_that_grow_keep_what_was_written() -> None:
    """Slot by slot past several capacities, and what is kept in place afterwards, is what was written."""
    store, written = Store(2, 3), torch.randn(50, 2, 4)
    for slot in range(50):
        store.reserve(slot + 1)
        for layer in range(2):
            store.write(layer, slot, None, written[slot : slot + 1], -written[slot : slot + 1])
    assert store.nbytes == 2 * 2 * written.nbytes
    torch.testing.assert_close(store.layer(1)[0][:50], written)
    store.replace(10, torch.tensor([49, -1, 12]))
    keys, values = store.layer(0)
    torch.testing.assert_close(keys[:13], torch.cat([written[:10], written[49:], torch.zeros(1, 2, 4), written[12:13]]))
    torch.testing.assert_close(values[12], -written[12])
    assert store.used == 13
    assert store.nbytes == 2 * 2 * written.nbytes  # what was written stays laid out


def bushy(model: LocalModel, first: range, steps: int) -> Tree:
    """A tree of five nodes a step, each below any before it; those below the root begin with tokens of their own."""
    rng, tree = np.random.default_rng(5), Tree([model.codec.encode("ab cd")])
    tree, _ = tree.append([0] * len(first), list(first), np.zeros(len(first)))
    for _ in range(steps):
        parents = rng.integers(1, len(tree), 5)
        tree, _ = tree.append(parents, rng.integers(5, 20, 5), np.zeros(5))
    return tree


def test_another_tree_of_the_same_prompts_costs_what_the_first_did(
    tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a tree that grew before from the same root, nothing is attended to and no pass becomes shorter."""
    model, columns, trunk = open_model(tiny_model("llama")), list[int](), Network.trunk

    def watched(self: Network, tokens: Any, positions: Any, view: View, *read: Any) -> torch.Tensor:
        columns.append(sum(end - start for _, start, end in view.seen))
        return trunk(self, tokens, positions, view, *read)

    monkeypatch.setattr(Network, "trunk", watched)
    monkeypatch.setattr(branches, "SCORES", 2**14)
    seen = []
    dict(model.answer([NextToken(tree=Tree([model.codec.encode("ab cd")]), nodes=np.array([0]))]))
    for first in (range(5, 10), range(10, 15)):
        tree = bushy(model, first, 50)
        columns.clear()
        dict(model.answer([NextToken(tree=tree, nodes=np.arange(len(tree)))]))
        seen.append(list(columns))
    (cache,) = model._trees._held.values()
    assert cache.branches is not None
    assert cache.branches.num > 400  # both are held
    assert len(seen[0]) > 2
    assert seen[1] == seen[0]


def test_a_search_begun_anew_grows_in_the_buffers_of_the_one_before(tiny_model: Tiny) -> None:
    """They count as held from the first moment; no byte of a reply tells."""
    model, other = open_model(tiny_model("llama")), open_model(tiny_model("llama"))
    before, after = bushy(model, range(5, 10), 40), bushy(model, range(10, 15), 30)
    roots = NextToken(tree=Tree([model.codec.encode("ab cd")]), nodes=np.array([0]))
    dict(model.answer([NextToken(tree=before, nodes=np.arange(len(before)))]))
    (cache,) = model._trees._held.values()
    assert cache.branches is not None
    buffers, held = cache.branches.store.layer(0), cache.branches.store.nbytes
    dict(model.answer([roots]))
    (cache,) = model._trees._held.values()
    assert model._memory.held >= held
    requests = [NextToken(tree=after, nodes=np.arange(len(after)))]
    found = dict(model.answer(requests))[0]
    assert cache.branches is not None
    assert all(was is now for was, now in zip(buffers, cache.branches.store.layer(0), strict=True))
    dict(other.answer([roots]))
    assert found.logprob.tobytes() == dict(other.answer(requests))[0].logprob.tobytes()


def test_whole_distributions_are_held_once(tiny_model: Tiny) -> None:
    """Which tokens they are of is said in no memory of its own."""
    model = open_model(tiny_model("llama"))
    tree = bushy(model, range(5, 10), 10)
    nodes = np.array([3, 1, 3, 0, 7])
    whole = dict(model.answer([NextToken(tree=tree, nodes=nodes)]))[0]
    named = dict(model.answer([NextToken(tree=tree, nodes=nodes, tokens=np.arange(model.codec.vocabulary_size))]))[0]
    np.testing.assert_array_equal(whole.token, named.token)
    np.testing.assert_array_equal(whole.logprob, named.logprob)
    assert whole.token.strides[0] == 0


def lineages() -> int:
    gc.collect()
    return sum(type(thing) is TreeCache for thing in gc.get_objects())


def test_a_bound_on_memory_holds_when_buffers_are_taken_over(tiny_model: Tiny) -> None:
    """Neither a search that fills the bound nor one of half of it makes the next lay out more than the bound."""
    directory = tiny_model("llama")
    token = open_model(directory)._network.token_bytes
    for share in (0.45, 0.9):
        model = load(directory, memory=400 * token)
        assert isinstance(model, LocalModel)
        roots = NextToken(tree=Tree([model.codec.encode("ab cd")]), nodes=np.array([0]))
        large, small = bushy(model, range(5, 10), int(400 * share) // 5 - 2), bushy(model, range(10, 15), 10)
        dict(model.answer([NextToken(tree=large, nodes=np.arange(len(large)))]))
        assert model._memory.held > share * 350 * token
        other = Complete(prompts=("he had a bed a cab",), slots=np.array([0]), key=Key(1), max_tokens=4)
        for request in (roots, NextToken(tree=small, nodes=np.arange(len(small))), other, roots):
            dict(model.answer([request]))
            assert model._memory.held <= model._memory.limit


@pytest.mark.filterwarnings("ignore::winnow.models.local.session.SlowPathWarning")
def test_lineages_that_are_never_fed_are_let_go(tiny_model: Tiny) -> None:
    """Rows longer than a sliding window go without a cache: search after search, no lineage hangs on the one before."""
    model = open_model(tiny_model("mistral", sliding_window=9))
    before = lineages()
    for number in range(12):
        tree, nodes = Tree([model.codec.encode("ab cd ef gh ab cd ef gh")]), np.array([0])
        dict(model.answer([NextToken(tree=tree, nodes=nodes)]))
        for _ in range(3):
            tree, nodes = tree.append(nodes, np.array([5 + number]), np.zeros(1))
            dict(model.answer([NextToken(tree=tree, nodes=nodes)]))
    assert lineages() - before <= 2


def test_a_feed_that_fails_leaves_nothing_held(tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_model(tiny_model("llama"))
    before, after = bushy(model, range(5, 10), 40), bushy(model, range(10, 15), 30)
    dict(model.answer([NextToken(tree=before, nodes=np.arange(len(before)))]))
    roots = NextToken(tree=Tree([model.codec.encode("ab cd")]), nodes=np.array([0]))
    with monkeypatch.context() as broken:
        broken.setattr(branches.Branches, "feed", fails)
        dict(model.answer([roots]))
        with pytest.raises(RuntimeError, match="in the middle"):
            dict(model.answer([NextToken(tree=after, nodes=np.arange(len(after)))]))
    (cache,) = model._trees._held.values()
    assert cache.nbytes == 0
    assert model._memory.held < 10_000  # the prompt's alone
    dict(model.answer([NextToken(tree=after, nodes=np.arange(len(after)))]))


def fails(*arguments: Any, **settings: Any) -> Any:
    raise RuntimeError("in the middle")
