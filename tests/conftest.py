"""What tests share: tiny random models of several architectures, and an environment that leaves the home alone."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# before anything imports transformers: no network, nothing under the real home
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="winnow-tests-hf-")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["WINNOW_STORE"] = f"sqlite:///{tempfile.mkdtemp(prefix='winnow-tests-store-')}/winnow.db"

# a shell that runs this in the background has interrupts ignored, and commands under test would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

LETTERS = "abcdefgh .?\n"
MERGES = [("a", "b"), ("c", "d"), ("ab", "cd"), (" ", "a"), ("e", "."), (".", "f")]
SPECIAL = ("<unk>", "<s>", "</s>", "<user>", "<reply>")
TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<reply>{% else %}<user>{% endif %}{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<reply>{% endif %}"
)


def write_tokenizer(directory: Path, *, start: bool, chat: bool) -> int:
    """Characters and a few merges; tokens cut across words and stops. Returns the vocabulary's size."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, processors

    words = [*SPECIAL, *LETTERS, *("".join(pair) for pair in MERGES)]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES, unk_token="<unk>", fuse_unk=True))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    if start:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
        )
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "clean_up_tokenization_spaces": False,
    }
    if chat:
        settings["chat_template"] = TEMPLATE
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(words)


def write_model(directory: Path, config: Any, seed: int = 0) -> None:
    """Random weights, large enough for attention to matter."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        for name, value in model.named_parameters():
            if value.ndim > 1:
                torch.nn.init.normal_(value, std=0.6 if "emb" in name or "wte" in name else 0.3)
        for value in model.parameters():  # norms and biases, which would be ones and zeros
            if value.ndim == 1:
                value.data += torch.empty_like(value).normal_(std=0.2)
    model.save_pretrained(directory)


def tiny_config(kind: str, vocabulary: int, **changes: Any) -> Any:
    """A configuration of a few thousand parameters."""
    import transformers

    common = {"vocab_size": vocabulary, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
    llama_like = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 96,
    }
    if kind == "gpt2":
        return transformers.GPT2Config(
            **{**common, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 96, **changes}
        )
    if kind == "gpt_neo":
        layers = {"attention_types": [[["global", "local"], 1]], "num_layers": 2, "window_size": 12}
        return transformers.GPTNeoConfig(
            **{**common, "hidden_size": 32, "num_heads": 4, "max_position_embeddings": 96, **layers, **changes}
        )
    if kind == "falcon":
        return transformers.FalconConfig(
            **{**common, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, **changes}
        )
    if kind == "gpt_oss":
        llama_like.update(num_local_experts=4, num_experts_per_tok=2, sliding_window=12)
    if kind == "bloom":
        return transformers.BloomConfig(**{**common, "hidden_size": 32, "n_layer": 2, "n_head": 4, **changes})
    if kind == "gpt_neox":
        llama_like = {key: value for key, value in llama_like.items() if key not in ("num_key_value_heads", "head_dim")}
    name = {
        "llama": "LlamaConfig",
        "qwen2": "Qwen2Config",
        "qwen3": "Qwen3Config",
        "mistral": "MistralConfig",
        "gemma2": "Gemma2Config",
        "gemma3": "Gemma3TextConfig",
        "gpt_neox": "GPTNeoXConfig",
        "gpt_oss": "GptOssConfig",
        "olmo2": "Olmo2Config",
        "phi3": "Phi3Config",
    }[kind]
    return getattr(transformers, name)(**{**common, **llama_like, **changes})


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """``tiny_model("llama", chat=False, **config)`` writes such a model once and gives its directory."""
    made: dict[str, str] = {}

    def make(kind: str = "llama", *, chat: bool = False, start: bool = True, seed: int = 0, **changes: Any) -> str:
        name = f"{kind}-{chat}-{start}-{seed}-{sorted(changes.items())}"
        if name not in made:
            directory = tmp_path_factory.mktemp(f"tiny-{kind}")
            vocabulary = write_tokenizer(directory, start=start, chat=chat)
            write_model(directory, tiny_config(kind, vocabulary, **changes), seed)
            made[name] = str(directory)
        return made[name]

    return make
