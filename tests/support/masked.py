"""A random masked model of a few thousand parameters, as transformers writes it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import write_tokenizer


def write_masked(directory: Path, *, start: bool = False, positions: int = 64, spread: float | None = None) -> str:
    """A BERT over the letters of the tiny models; ``spread`` is the standard deviation of its weights."""
    import torch
    import transformers

    size = write_tokenizer(directory, start=start, chat=False)
    settings = json.loads((directory / "tokenizer_config.json").read_text())
    settings |= {"mask_token": "<user>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<reply>"}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    config = transformers.BertConfig(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=positions,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = transformers.BertForMaskedLM(config)
        for value in model.parameters() if spread is not None else ():
            if value.ndim > 1:
                torch.nn.init.normal_(value, std=spread)
    model.save_pretrained(directory)
    return str(directory)
