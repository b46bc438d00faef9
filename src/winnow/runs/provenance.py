"""Where numbers come from: which code, which machine, which libraries. Reads no clock and imports none of what it names."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from winnow import __version__

LIBRARIES = ("numpy", "scipy", "torch", "transformers", "tokenizers", "safetensors", "sqlalchemy", "alembic")


@runtime_checkable
class Loaded(Protocol):
    """A model that knows where it came from."""

    @property
    def source(self) -> Mapping[str, Any]:
        """The arguments with which ``winnow.load`` loads it again."""
        ...

    @property
    def files(self) -> Mapping[str, str]:
        """sha256 of each of its files: weights, tokenizer, settings."""
        ...


def provenance(model: object = None) -> dict[str, Any]:
    """What a session stands on, as JSON values.

    ``winnow`` (version), ``source`` (sha256 over the package's Python files), ``commit`` and ``dirty`` (None outside a
    checkout), ``python``, ``platform``, ``machine``, ``threads``, ``libraries``, ``model`` (sha256 of each of its files),
    ``command``.
    """
    commit, dirty = _checkout()
    return {
        "winnow": __version__,
        "source": source_hash(),
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "libraries": {name: version for name in LIBRARIES if (version := _version(name)) is not None},
        "model": dict(model.files) if isinstance(model, Loaded) else None,
        "command": sys.argv,
    }


@functools.cache
def source_hash() -> str:
    """Sixteen hex digits over the names and contents of the package's Python files."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What changed between two sessions, in words; the command that was typed does not count."""
    found = []
    for name in ("winnow", "commit", "dirty", "source", "python", "platform", "machine", "threads"):
        if before.get(name) != now.get(name):
            word = "OMP_NUM_THREADS" if name == "threads" else name
            found.append(f"{word} {_said(before.get(name))} -> {_said(now.get(name))}")
    for group in ("libraries", "model"):
        old, new = before.get(group) or {}, now.get(group) or {}
        names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
        found += [f"{name} {_short(old.get(name))} -> {_short(new.get(name))}" for name in names]
    return found


def _said(value: Any) -> str:
    return "not set" if value is None else str(value)


def _short(value: Any) -> str:
    text = str(value)
    return text[:16] if len(text) == 64 else text


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def _checkout() -> tuple[str | None, bool | None]:
    """Commit and dirty flag of the checkout that this package lies in, if it lies in one."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None, None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit, bool(_git(root, "status", "--porcelain", "--", "src"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
