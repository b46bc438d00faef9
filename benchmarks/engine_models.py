"""What the engine is measured on: Llama-shaped models of 4 M and 34 M random weights, the bundled one, and texts for them.

The random models have a tokenizer in which a word such as `` abc`` is one token and lengths of texts are exact.
"""

from __future__ import annotations

import itertools
import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import winnow
from winnow.models.local.model import LocalModel

SHAPES: dict[str, dict[str, int]] = {
    "4M": {
        "hidden_size": 256,
        "intermediate_size": 688,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": 2048,
    },
    "34M": {
        "hidden_size": 512,
        "intermediate_size": 1376,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "vocab_size": 8192,
    },
}
END = "<end>"
HALF = 0.5  # share of completions that an early-ending model has ended after 64 tokens


def directory(name: str, place: Path) -> str:
    """A model's directory, made if need be; ``-ending`` after a name: half of its completions end within 64 tokens."""
    if name == "bundled":
        return name
    target = place / name
    if not (target / "config.json").exists():
        _write(target, SHAPES[name.removesuffix("-ending")], ending=name.endswith("-ending"))
    return str(target)


def _write(target: Path, shape: dict[str, int], *, ending: bool) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    target.mkdir(parents=True)
    size = shape["vocab_size"]
    torch.manual_seed(0)
    config = LlamaConfig(
        **shape,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        initializer_range=0.05,
    )
    model = LlamaForCausalLM(config).eval()
    hazard = 1 - (1 - HALF) ** (1 / 64)
    ends = list(range(size - max(1, round(hazard * size)), size)) if ending else [size - 1]
    model.generation_config.eos_token_id = ends if ending else None  # none: every row has the length asked for
    model.generation_config.pad_token_id = 0
    model.save_pretrained(target)
    _write_tokenizer(target, size)


def _write_tokenizer(target: Path, size: int) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    merges: list[tuple[str, str]] = []
    for before, letter in _grown(size - 1 - len(alphabet)):
        vocabulary[before + letter] = len(vocabulary)
        merges.append((before, letter))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True, normalized=False)])
    assert tokenizer.get_vocab_size() == size
    tokenizer.save(str(target / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    (target / "tokenizer_config.json").write_text(json.dumps(settings))


def _grown(num: int) -> Iterator[tuple[str, str]]:
    """Merges that make `` a``, then `` ab``, then `` abc``, of letters, ``num`` in all."""
    stems, made = ["Ġ"], 0
    while True:
        longer = []
        for before, letter in itertools.product(stems, string.ascii_letters):
            if made == num:
                return
            longer.append(before + letter)
            made += 1
            yield before, letter
        stems = longer


class Subject:
    """One model under test: packed and stock, the plain transformers model beside them, and texts of given lengths."""

    def __init__(self, name: str, place: Path, *, dtype: str = "float32") -> None:
        from transformers import AutoModelForCausalLM

        self.name, path = name, directory(name, place)
        self.packed, self.stock = self._load(path, "packed", dtype), self._load(path, "stock", dtype)
        source = path if name != "bundled" else str(Path(winnow.__file__).parent / "data" / "bundled")
        self.path = source
        self.rival: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
        self.vocabulary = self.packed.codec.vocabulary_size
        self.source = _sampled(self.packed) if name == "bundled" else None

    def _load(self, path: str, products: str, dtype: str) -> LocalModel:
        model = winnow.load(path, products=products, dtype=dtype, device="cpu")
        assert isinstance(model, LocalModel)
        return model

    def text(self, length: int, *key: str | int) -> str:
        """A text of ``length`` tokens, another for every key."""
        rng = np.random.default_rng(list(repr(key).encode()))
        if self.source is not None:
            at = int(rng.integers(0, len(self.source) - length))
            return str(self.packed.codec.decode(self.source[at : at + length]))
        first, second = list(string.ascii_lowercase), list(string.ascii_letters)
        return "".join(f" {one}{other}" for one, other in zip(rng.choice(first, length), rng.choice(second, length)))

    def tokens(self, text: str) -> list[int]:
        return self.packed.codec.encode(text)


def _sampled(model: LocalModel) -> list[int]:
    """Tokens of texts that the bundled model wrote itself, end to end, so that its texts are of its own kind."""
    tokens: list[int] = []
    reply = winnow.complete(model, "", num=96, max_tokens=150, seed=1)
    for text in reply.text:
        tokens += model.codec.encode(" " + text.strip())[1:]
    while len(tokens) < 4000:
        tokens += tokens
    return tokens
