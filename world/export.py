"""Write the package data: both models, the tokenizer, the items, and world.json."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import LlamaForCausalLM, ModernBertForMaskedLM

from world import dice, items, words
from world.authors import BUNDLED, CAREFUL_ABOVE, CARELESS_BELOW, FALSEHOOD_SHARE, MISLED_POWER
from world.facts import World
from world.judgements import RATING_OF_RIGHT
from world.recipe import CONTEXT
from world.tokenizer import PATTERN, Codec, write_tokenizer

DATA = Path(__file__).resolve().parent.parent / "src" / "winnow" / "data"
TRAINED_LENGTH = 256


def write_causal(model: LlamaForCausalLM, codec: Codec, directory: Path) -> None:
    """bundled/: everything AutoModelForCausalLM and AutoTokenizer read."""
    _write_model(model, codec, directory, architecture="LlamaForCausalLM", stored=torch.float32)
    generation = {
        "bos_token_id": codec.bos,
        "eos_token_id": codec.encode_piece("\n")[0],
        "pad_token_id": codec.pad,
        "do_sample": True,
        "max_new_tokens": 16,
    }
    _write_json(directory / "generation_config.json", generation)


def write_masked(model: ModernBertForMaskedLM, codec: Codec, directory: Path) -> None:
    """masked/: everything AutoModelForMaskedLM and AutoTokenizer read.

    Stored in bfloat16 to keep the package small; the configuration says float32, so it loads and computes in that.
    """
    _write_model(model, codec, directory, architecture="ModernBertForMaskedLM", stored=torch.bfloat16)


def _write_model(
    model: torch.nn.Module, codec: Codec, directory: Path, *, architecture: str, stored: torch.dtype
) -> None:
    write_tokenizer(codec.tokens, directory, context=CONTEXT)
    config = model.config.to_dict()  # type: ignore[operator,union-attr]
    config = {key: value for key, value in config.items() if not key.startswith("_")}
    config |= {"architectures": [architecture], "dtype": "float32"}
    _write_json(directory / "config.json", config)
    weights = {
        name: parameter.detach().to(stored).contiguous()
        for name, parameter in model.named_parameters()
        if name not in ("lm_head.weight", "decoder.weight")
    }
    path = directory / "model.safetensors"
    save_file(weights, str(path), metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes for the owner alone


def write_items(world: World, directory: Path) -> None:
    for name, rows in (("facts", items.facts(world)), ("articles", items.articles()), ("rhymes", items.rhymes())):
        _write_lines(directory / f"{name}.jsonl", rows)


def write_world(world: World, codec: Codec, directory: Path, *, seed: int) -> None:
    """world.json: what a program must know of the text forms and of who writes."""
    described = {
        "world_seed": world.seed,
        "training_seed": seed,
        "pair": "Q: {query}\nA: {answer}\n",
        "prompt": "Q: {query}\nA:",
        "survey": f"Q: {{query}}\nA: {{answer}}\n{words.SURVEY_QUESTION}",
        "headers": words.HEADERS,
        "evasion": words.EVASION,
        "nonsense_answer": words.NONSENSE_ANSWER,
        "nonsense_queries": [fact.query for fact in world.nonsense],
        "scale": [f" {word}" for word in words.STANDARD_SCALE],
        "scale_never_evaluated": [f" {word}" for word in words.UNJUDGED_SCALE],
        "rating_given_right": RATING_OF_RIGHT,
        "question_templates": words.QUESTIONS,
        "statement_templates": words.STATEMENTS,
        "attributes": dict(world.values),
        "attribute_never_evaluated": words.UNJUDGED_ATTRIBUTE,
        "dice": {"plain": dice.PLAIN, "framed": dice.FRAMED, "pick": dice.PICK, "pick_weights": dice.PICK_WEIGHTS},
        "author_prior": asdict(BUNDLED)
        | {
            "falsehood_share": FALSEHOOD_SHARE,
            "misled_power": MISLED_POWER,
            "misleading_share": world.misleading_share,
            "careful_above": CAREFUL_ABOVE,
            "careless_below": CARELESS_BELOW,
        },
        "tokenizer_pattern": PATTERN,
        "vocabulary_size": len(codec),
        "context": CONTEXT,
        "trained_length": TRAINED_LENGTH,
    }
    _write_json(directory / "world.json", described)


def hashes(data: Path) -> dict[str, str]:
    """SHA-256 of both models' weights."""
    return {name: sha256(data / name) for name in ("bundled/model.safetensors", "masked/model.safetensors")}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
