"""The local codec: what a prompt, a continuation and a completion are in tokens, for tokenizers with their own ideas."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from winnow.models.local.codec import TransformersCodec
from winnow.ports.requests import Message
from winnow.values.errors import InputError

Make = Callable[..., TransformersCodec]
SPECIAL = ["<unk>", "<s>", "</s>"]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A codec over a small BPE vocabulary with the pieces a test asks for."""

    def build(words: list[str], merges: list[tuple[str, str]] | None = None, **settings: object) -> TransformersCodec:
        from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
        from transformers import AutoTokenizer

        vocabulary = {word: index for index, word in enumerate([*SPECIAL, *words])}
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges or [], unk_token="<unk>", fuse_unk=True))
        tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
        tokenizer.decoder = decoders.Fuse()
        if settings.pop("metaspace", False):
            tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
            tokenizer.decoder = decoders.Sequence(
                [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
            )
        if settings.pop("no_decoder", False):
            tokenizer.decoder = None
        around = settings.pop("around", None)
        if around:
            tokenizer.post_processor = processors.TemplateProcessing(
                single=str(around), special_tokens=[("<s>", 1), ("</s>", 2)]
            )
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", **settings}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        loaded = AutoTokenizer.from_pretrained(tmp_path)
        return TransformersCodec(loaded, name="m", vocabulary_size=len(vocabulary), end_tokens=(2,))

    return build


def test_spaces_between_prompt_and_completion_survive(make: Make) -> None:
    """A decoder that strips the first space strips it from whole texts only."""
    codec = make(["▁", "a", "b", "▁b"], [("▁", "b")], metaspace=True, around="<s> $A", bos_token="<s>")
    prompt = codec.encode("a a")
    assert codec.decode(prompt) == "a a"
    assert codec.decode([6]) == "b"
    assert codec.decode_after(prompt, [6]) == " b"
    assert codec.decode_after(prompt, [6, 5]) == " bb"


def test_words_without_a_decoder_are_joined_by_spaces(make: Make) -> None:
    codec = make(["a", "b"], no_decoder=True)
    assert codec.decode_after([3, 4], [4, 3]) == " b a"
    assert codec.decode_after([], [4, 3]) == "b a"


def test_a_continuation_is_what_the_tokenizer_adds(make: Make) -> None:
    codec = make(["▁", "a", "b", "▁b"], [("▁", "b")], metaspace=True, around="<s> $A", bos_token="<s>")
    heads, tails = codec.encode_continuations(["a", "a a"], [[" b", "b"], [" a"]])
    assert heads == [[1, 3, 4], [1, 3, 4, 3, 4]]
    assert tails == [[[6], [5]], [[3, 4]]]


def test_a_continuation_that_merges_into_the_prompt_is_encoded_by_itself(make: Make) -> None:
    codec = make(["a", "b", "ab"], [("a", "b")])
    heads, tails = codec.encode_continuations(["a"], [["b", "bb", "a"]])
    assert heads == [[3]]
    assert tails == [[[4], [4, 4], [3]]]


def test_a_continuation_encoded_by_itself_gets_no_space_of_its_own(make: Make) -> None:
    """A prompt that ends in a space, and a tokenizer that puts one before every text."""
    codec = make(["▁", "a", "b", "▁b"], [("▁", "b")], metaspace=True, around="<s> $A", bos_token="<s>")
    heads, tails = codec.encode_continuations(["a "], [["b"]])
    assert heads == [[1, 3, 4, 3]]
    assert tails == [[[5]]]
    assert codec.decode_after(heads[0], [5]) == "b"


def test_an_end_token_after_the_text_is_dropped(make: Make) -> None:
    codec = make(["a", "b"], around="<s> $A </s>", bos_token="<s>", eos_token="</s>")
    assert codec.encode("ab") == [1, 3, 4]
    assert codec.encode_continuations(["a"], [["b"]])[1] == [[[4]]]


def test_an_empty_prompt_is_the_start_token_or_an_error(make: Make) -> None:
    assert make(["a"], bos_token="<s>").encode("") == [1]
    assert make(["a"], eos_token="</s>").encode("") == [2]


def test_unknown_text(make: Make) -> None:
    codec = make(["a"], around="<s> $A", bos_token="<s>")
    with pytest.raises(InputError, match="no tokens for 'zz'"):
        codec.encode("zz")
    assert codec.encode("za") == [1, 0, 3]
    assert codec.encode_continuations(["a"], [["z", "a"]])[1] == [[None, [3]]]


def test_a_chat_template_that_refuses_is_an_input_error(make: Make) -> None:
    codec = make(["a"], chat_template="{{ raise_exception('no system role here') }}")
    with pytest.raises(InputError, match="no system role here"):
        codec.encode((Message("system", "a"),))


@pytest.mark.parametrize("kind", ["metaspace", "plain", "bundled", "special"])
def test_a_continuation_after_a_long_prompt_is_encoded_after_its_end_alone(
    kind: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tokens as encoding everything again, and far fewer characters of it."""
    import winnow.models.local.codec as module

    merges = [("a", "b"), (" ", "a"), (" a", "b"), ("b", "b"), (".", " ")]
    pieces = ["a", "b", ".", " ", "ab", " a", " ab", "bb", ". "]
    if kind == "metaspace":
        codec = make(["▁", "a", "b", ".", "▁b", "▁a", "ab"], [("▁", "b"), ("▁", "a"), ("a", "b")], metaspace=True)
    elif kind == "bundled":
        from winnow.models.load import load

        codec = load("bundled").codec  # type: ignore[assignment]
    else:
        codec = make(pieces, merges, **({"around": "<s> $A", "bos_token": "<s>"} if kind == "special" else {}))
    words, rng = ("a", "bb", " ab", "abb.", ".", " ", " a b"), np.random.default_rng(2)
    prompts = ["".join(rng.choice(list("ab. "), size=size)) for size in rng.integers(1, 160, 60)] + ["a" * 90]
    seen: list[int] = []
    encode = codec._encode_mixed
    monkeypatch.setattr(
        codec, "_encode_mixed", lambda texts: seen.append(sum(len(t) for t, _ in texts)) or encode(texts)
    )
    near = codec.encode_continuations(prompts, [words] * len(prompts))
    with_ends = sum(seen)
    seen.clear()
    monkeypatch.setattr(module, "NEAR", 10**9)
    assert codec.encode_continuations(prompts, [words] * len(prompts)) == near
    assert with_ends < 0.8 * sum(seen)


@pytest.mark.parametrize("kind", ["metaspace", "plain", "bundled", "special"])
def test_a_common_beginning_is_encoded_once(kind: str, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts after one context: the same tokens as one by one, and a fraction of the characters."""
    merges = [("a", "b"), (" ", "a"), (" a", "b"), ("b", "b"), (".", " ")]
    pieces = ["a", "b", ".", " ", "ab", " a", " ab", "bb", ". "]
    if kind == "metaspace":
        codec = make(["▁", "a", "b", ".", "▁b", "▁a", "ab"], [("▁", "b"), ("▁", "a"), ("a", "b")], metaspace=True)
    elif kind == "bundled":
        from winnow.models.load import load

        codec = load("bundled").codec  # type: ignore[assignment]
    else:
        codec = make(pieces, merges, **({"around": "<s> $A", "bos_token": "<s>"} if kind == "special" else {}))
    rng = np.random.default_rng(3)

    def text(size: int) -> str:
        return "".join(rng.choice(list("ab. "), size=size))

    context = text(400) + " "
    prompts = [context + text(int(size)) for size in rng.integers(0, 30, 40)]
    seen: list[int] = []
    encode = codec._encode_mixed
    monkeypatch.setattr(
        codec, "_encode_mixed", lambda texts: seen.append(sum(len(t) for t, _ in texts)) or encode(texts)
    )
    assert codec.encode_all(prompts) == [codec.encode(prompt) for prompt in prompts]
    assert sum(seen[: -len(prompts)]) < 0.4 * sum(map(len, prompts))
