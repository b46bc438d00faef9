"""A lossless word-level tokenizer: a token is a word with the space before it, a sign, a digit or a line end.

decode(encode(text)) == text for any printable ASCII text.  Words outside the vocabulary fall into single characters
rather than <unk>, so a stranger's own question is odd but not broken.  `encode_piece` is the same map in plain
Python for the training stream; a test holds the two together.
"""

import json
import random
import re
import string
from functools import lru_cache
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from world import words
from world.corpus import BUILDERS, Corpus
from world.facts import World

PATTERN = r"Q:|A:|>>>| ?[A-Za-z]+|\n| ?[^A-Za-z\n]"
SPECIALS = ("<pad>", "<bos>", "<eos>", "<mask>", "<unk>")
MULTIPLE = 16
"""The vocabulary is padded to a multiple of this with reserved tokens."""


def split(text: str) -> list[str]:
    return re.findall(PATTERN, text)


def vocabulary(world: World, *, documents_per_kind: int = 400) -> list[str]:
    """Specials, every token of the world in alphabetical order, and padding."""
    rng = random.Random("vocabulary")
    corpus = Corpus(world)
    fixed = [
        *(question.format(attribute=a, entity="") for question in words.QUESTIONS for a in words.ATTRIBUTES),
        *words.HEADERS.values(),
        *(f" {word}" for word in (*words.STANDARD_SCALE, *words.UNJUDGED_SCALE, *words.NONSENSE)),
        *(f" {name}" for name in (*world.entities, *world.all_values)),
        *(f" {letter}" for letter in string.ascii_lowercase),
        *string.printable[:95],
    ]
    sampled = (corpus.document(kind, rng).text for kind in BUILDERS for _ in range(documents_per_kind))
    found = {token for text in (*fixed, *sampled) for token in split(text)} - set(SPECIALS)
    tokens = [*SPECIALS, *sorted(found)]
    return tokens + [f"<reserved-{i}>" for i in range(-len(tokens) % MULTIPLE)]


class Codec:
    """Text to token ids and back, by the vocabulary of one world."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.id = {token: i for i, token in enumerate(tokens)}
        self.pad, self.bos, self.eos, self.mask, self.unk = (self.id[token] for token in SPECIALS)
        self.encode_piece = lru_cache(maxsize=200_000)(self._encode)

    def __len__(self) -> int:
        return len(self.tokens)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.id[token] for token in split(text))

    def encode(self, text: str) -> list[int]:
        """With <bos>."""
        return [self.bos, *self._encode(text)]

    def decode(self, ids: list[int]) -> str:
        return "".join(self.tokens[i] for i in ids if i >= len(SPECIALS))


def write_tokenizer(tokens: list[str], directory: Path, *, context: int) -> None:
    """tokenizer.json and tokenizer_config.json as transformers loads them."""
    tokenizer = Tokenizer(
        models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="<unk>", continuing_subword_prefix="")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", tokens.index("<bos>"))]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
        **{f"{name}_token": f"<{name}>" for name in ("pad", "bos", "eos", "mask", "unk")},
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
