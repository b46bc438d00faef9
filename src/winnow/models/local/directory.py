"""A model's files: where they are, whether they are safe to read, and what they hash to.

Weights are read from safetensors only. A pickle can run code when it is opened, so it is never opened.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from winnow.values.errors import InputError

PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
TOKENIZERS = ("tokenizer.json", "*.model", "vocab.*", "*.tiktoken", "tekken.json", "tokenization_*.py")
HASHED = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.py")


def find(name: str) -> Path:
    """The directory of a model given as a path or as a hub id (``owner/name``).

    Raises
    ------
    InputError
        When there is no such directory and the hub does not have it either, or cannot be reached.
    """
    if not name.strip():
        raise InputError("no model is named", where="model", remedy="give 'bundled', a directory or a hub id")
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise InputError("is a file, not a model's directory", where=name, remedy="name the directory it is in")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError("no such directory", where=name, remedy="give a directory or a hub id owner/name")
    return _from_hub(name)


def _from_hub(name: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    wanted = [*HASHED]
    remedy = "give a directory, or check the id and the network"
    try:
        return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=True))
    except HFValidationError:
        raise InputError("is neither a directory nor a hub id", where=name, remedy=remedy) from None
    except (LocalEntryNotFoundError, OSError):
        pass
    try:
        HfApi().model_info(name, timeout=10)
        return Path(snapshot_download(name, allow_patterns=wanted))
    except RepositoryNotFoundError:
        raise InputError("no such directory, and the hub has no such model", where=name, remedy=remedy) from None
    except Exception as error:  # the hub client raises whatever its transport raises
        raise InputError(
            f"no such directory, and the hub cannot be asked ({type(error).__name__})", where=name, remedy=remedy
        ) from None


def check(path: Path, name: str) -> None:
    """Make sure the directory holds a model that can be read safely.

    Raises
    ------
    InputError
        When there is no config.json, no weights, or weights in a pickle only (says how to convert them).
    """
    if not (path / "config.json").is_file():
        raise InputError("has no config.json", where=name, remedy="name a directory that save_pretrained wrote")
    if not _holds(path, TOKENIZERS):
        raise InputError("has no tokenizer (tokenizer.json)", where=name, remedy="copy the tokenizer's files beside it")
    if _holds(path, ("*.safetensors",)):
        return
    pickles = sorted(file.name for pattern in PICKLES for file in path.glob(pattern))
    if pickles:
        raise InputError(
            f"its weights are a pickle ({pickles[0]}), which can run code when opened",
            where=name,
            remedy='if you trust it, convert it: python -c "from transformers import AutoModelForCausalLM as M; '
            f"M.from_pretrained('{name}', use_safetensors=False).save_pretrained('{path.name}-safe')\" "
            "and copy the tokenizer's files beside it",
        )
    raise InputError("has no weights (*.safetensors)", where=name, remedy="name a directory with model.safetensors")


def _holds(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(any(path.glob(pattern)) for pattern in patterns)


def fingerprint(path: Path) -> str:
    """Sixteen hex digits over the names and contents of the weights, tokenizer and settings."""
    digest = hashlib.sha256()
    for name, file_hash in hashes(path).items():
        digest.update(name.encode() + b"\0" + bytes.fromhex(file_hash))
    return digest.hexdigest()[:16]


def hashes(path: Path) -> dict[str, str]:
    """sha256 of each file that the fingerprint is over, by name."""
    files = sorted({file for pattern in HASHED for file in path.glob(pattern)})
    stats = [(file, file.stat()) for file in files]
    return {file.name: _file_hash(file.resolve(), stat.st_mtime_ns, stat.st_size).hex() for file, stat in stats}


@functools.lru_cache(maxsize=256)
def _file_hash(path: Path, modified_ns: int, size: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
