"""The tokenizer loses nothing, and the training stream's plain-Python codec is the same map."""

import random
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from world import words
from world.corpus import BUILDERS, Corpus
from world.facts import World
from world.tokenizer import Codec, vocabulary, write_tokenizer

CONTEXT = 512


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def codec(world):
    return Codec(vocabulary(world))


@pytest.fixture(scope="module")
def tokenizer(codec, tmp_path_factory):
    directory: Path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(codec.tokens, directory, context=CONTEXT)
    return AutoTokenizer.from_pretrained(directory)


@pytest.mark.parametrize("kind", BUILDERS)
def test_every_document_survives_and_both_codecs_agree(kind, world, codec, tokenizer):
    rng, corpus = random.Random(f"lossless/{kind}"), Corpus(world)
    for _ in range(100):
        document = corpus.document(kind, rng)
        ids = tokenizer.encode(document.text)
        assert ids == codec.encode(document.text)
        assert ids[1:] == [i for piece in document.pieces for i in codec.encode_piece(piece.text)]
        assert tokenizer.decode(ids[1:]) == document.text == codec.decode(ids)
        assert codec.unk not in ids


def test_bos_stands_first_unless_specials_are_refused(codec, tokenizer):
    assert tokenizer.encode("Q:")[0] == codec.bos
    assert codec.bos not in tokenizer.encode("Q:", add_special_tokens=False)


def test_a_strangers_words_fall_into_characters_and_come_back(tokenizer):
    text = 'Q: Who  wrote <zebra\'s> 1984?\nA: Orwell, said "it"!\n'
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_words_of_the_survey_are_whole(codec):
    text = f"\n{words.SURVEY_QUESTION} a great deal"
    assert codec.encode_piece(text) == tuple(
        codec.id[token] for token in ("\n", "Is", " that", " right", "?", " a", " great", " deal")
    )
