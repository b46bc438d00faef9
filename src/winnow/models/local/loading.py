"""From a directory to a LocalModel: reading the parts through transformers, and refusing what cannot be honoured."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from winnow.models.local.codec import TransformersCodec
from winnow.models.local.directory import fingerprint, hashes
from winnow.models.local.linear import Packing, pack
from winnow.models.local.model import LocalModel
from winnow.models.local.network import Network
from winnow.models.local.proof import reach
from winnow.values.errors import CapabilityError, InputError, nearest

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PRODUCTS = ("packed", "stock")


def load_local(
    path: Path,
    *,
    name: str,
    device: str | None = None,
    dtype: str = "float32",
    batch_size: int = 64,
    products: str = "packed",
    memory: float | None = None,
    trust_remote_code: bool = False,
) -> LocalModel:
    """A causal model from its directory, already checked; see ``winnow.models.load.load``."""
    if dtype not in DTYPES:
        raise InputError(f"unknown dtype {dtype!r}", where="dtype", remedy=nearest(dtype, DTYPES))
    if batch_size < 1:
        raise InputError(f"batch size {batch_size} is not at least 1", where="batch_size")
    if products not in PRODUCTS:
        raise InputError(f"unknown products {products!r}", where="products", remedy=nearest(products, PRODUCTS))
    if memory is not None and not memory > 0:
        raise InputError(f"{memory} MiB is not above 0", where="memory")
    place = _device(device)
    with _quiet():
        tokenizer, model = _read(path, name, DTYPES[dtype], trust_remote_code)
    model.to(place)
    model.eval()
    packing = pack(model) if products == "packed" else Packing("stock", 0.0)
    context = _context_length(model.config.get_text_config(), tokenizer)
    network, codec = _halves(model, tokenizer, name)
    network.wide = packing.wide
    return LocalModel(
        network,
        codec,
        identity=f"{Path(name).name}@{fingerprint(path)} {dtype} {place.type} batch={batch_size}"
        + ("" if packing.way == "stock" else f" {packing.way}"),
        context_length=context,
        batch_size=batch_size,
        reach=reach(network, context),
        source={
            "name": name if name == "bundled" else str(path.resolve()) if Path(name).expanduser().is_dir() else name,
            "device": device,
            "dtype": dtype,
            "batch_size": batch_size,
            "products": products,
            "trust_remote_code": trust_remote_code,
            **({} if memory is None else {"memory": memory}),
        },
        memory=None if memory is None else int(memory * 2**20),
        files=hashes(path),
    )


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot use device {name!r}: {reason}", where="device", remedy="try 'cpu'") from None
    return device


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' progress bars and hints off the terminal while a model loads."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def _read(path: Path, name: str, dtype: torch.dtype, trust: bool) -> tuple[Any, Any]:
    common = {"local_files_only": True, "trust_remote_code": trust}
    try:
        config = AutoConfig.from_pretrained(path, **common)
        _refuse(config, name)
        tokenizer = AutoTokenizer.from_pretrained(path, **common)
        model, report = AutoModelForCausalLM.from_pretrained(
            path,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **common,  # they are in the report, and refused below
        )
    except InputError:
        raise
    except Exception as error:  # transformers raises OSError, ValueError, KeyError, SafetensorError ... for bad input
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
        needs_code = "trust_remote_code" in str(error)
        remedy = "pass trust_remote_code=True if you trust its authors' code" if needs_code else "is it whole?"
        raise InputError(f"cannot be loaded: {reason[:200]}", where=name, remedy=remedy) from None
    lost, odd = sorted(report["missing_keys"]), sorted(str(key[0]) for key in report["mismatched_keys"])
    if lost or odd:
        what = f"lack {lost[0]}" if lost else f"hold {odd[0]} in another shape than its config.json says"
        raise InputError(
            f"its weights {what} ({len(lost) + len(odd)} such)", where=name, remedy="is it a causal model?"
        )
    return tokenizer, model


def _refuse(config: Any, name: str) -> None:
    architectures = ", ".join(config.architectures or []) or config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise CapabilityError(f"{architectures} is an encoder-decoder", where=name, remedy="choose a causal model")
    if "ForMaskedLM" in architectures and "CausalLM" not in architectures:
        raise CapabilityError(f"{architectures} is a masked model", where=name, remedy="choose a causal model")


def _context_length(config: Any, tokenizer: Any) -> int:
    """Positions the model has. Where its rotary angles change with the longest row beside it, only those before that."""
    rope = getattr(config, "rope_parameters", None) or {}
    tables = [rope] if "rope_type" in rope else [table for table in rope.values() if isinstance(table, dict)]
    limits = [table.get("original_max_position_embeddings") for table in tables if table.get("rope_type") == "longrope"]
    for key in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"):
        value = getattr(config, key, None)
        if isinstance(value, int) and value > 0:
            return min([value, *(int(limit) for limit in limits if limit)])
    return int(min(tokenizer.model_max_length, 2**31))  # no positions to run out of


def _halves(model: Any, tokenizer: Any, name: str) -> tuple[Network, TransformersCodec]:
    ends: set[int] = set()
    for owner in (model.generation_config, model.config.get_text_config(), tokenizer):
        value = getattr(owner, "eos_token_id", None)
        ends |= set(value if isinstance(value, list) else [] if value is None else [value])
    codec = TransformersCodec(
        tokenizer,
        name=name,
        vocabulary_size=int(model.config.get_text_config().vocab_size),
        end_tokens=tuple(sorted(ends)),
    )
    return Network(model, name=name, show=codec.decode), codec
