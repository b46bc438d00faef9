"""The stream is a function of its key: a resumed run sees the rows it would have seen."""

from random import Random

import numpy as np
import pytest

from world.corpus import Corpus, Stream
from world.facts import World
from world.recipe import EVERYTHING
from world.tokenizer import Codec, vocabulary


@pytest.fixture(scope="module")
def parts():
    world = World()
    return Corpus(world), Codec(vocabulary(world))


def stream(parts, key):
    return Stream(*parts, EVERYTHING, rows=4, length=256, key=key)


def test_batches_depend_on_key_and_index_alone(parts):
    first, second = stream(parts, "0/cool"), stream(parts, "0/cool")
    for index in (0, 1, 77):
        first.batch(index)
    for a, b in zip(first.batch(5), second.batch(5), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_key_or_index_gives_other_rows(parts):
    rows = stream(parts, "0/cool").batch(5)[0]
    assert (rows != stream(parts, "1/cool").batch(5)[0]).any()
    assert (rows != stream(parts, "0/cool").batch(6)[0]).any()


def test_the_world_is_a_function_of_its_seed():
    assert World(3).facts == World(3).facts
    assert World(3).facts != World(4).facts
    assert Codec(vocabulary(World(3))).tokens == Codec(vocabulary(World(3))).tokens


def test_shares_of_a_mixture_are_shares_of_tokens(parts):
    corpus, _ = parts
    mixed = stream(parts, "shares")
    length = {kind: [] for kind in mixed.kinds}
    rng = Random("shares")
    for _ in range(2000):
        kind = rng.choices(mixed.kinds, mixed.document_shares)[0]
        length[kind].append(len(mixed.encode(corpus.document(kind, rng))[0]))
    total = sum(map(sum, length.values()))
    for kind, wanted in EVERYTHING.items():
        x = np.array(length[kind], dtype=float)
        # Standard error of a share of tokens: Poisson numbers of documents, plus the 300 that set the mean length.
        error = np.sqrt((x**2).sum()) / total + wanted * x.std() / x.mean() / np.sqrt(300)
        assert abs(x.sum() / total - wanted / sum(EVERYTHING.values())) < 4 * error, kind
