"""Model strings to language models: ``bundled``, a directory, or a hub id.

Importing this file imports neither torch nor transformers; loading does.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.values.errors import InputError

if TYPE_CHECKING:
    from winnow.ports.requests import LanguageModel

BUNDLED = "bundled"


def load(
    name: str,
    *,
    device: str | None = None,
    dtype: str = "float32",
    batch_size: int = 64,
    products: str = "packed",
    memory: float | None = None,
    trust_remote_code: bool = False,
) -> LanguageModel:
    """A language model by name.

    Parameters
    ----------
    name : "bundled", the directory of a transformers causal model, or a hub id.
    device : torch's name of a device; None takes a CUDA device when there is one.
    dtype : "float32", "bfloat16" or "float16" for the weights; log-softmax is float32 always.
    batch_size : rows that are answered together. Changing it moves log-probabilities in their last bits.
    products : "packed" multiplies on a CPU in the fastest way that a check finds as accurate, mostly twice as fast, with
        other last bits (see ``winnow.models.local.linear``) and the weights in memory twice; "stock" as PyTorch would.
    memory : MiB that keys and values may take, those kept for later requests included; by default a quarter of the
        device's memory. What does not fit at once is answered in smaller batches.
    trust_remote_code : whether Python code that comes with the model may run.

    Raises
    ------
    InputError
        When there is no such model, it is damaged, or its weights are a pickle.
    CapabilityError
        When it is not a causal model, or cannot be batched.
    """
    from winnow.models.local.directory import check, find

    path = _bundled_directory() if name == BUNDLED else find(name)
    name = name.rstrip("/")
    check(path, name)  # before the seconds that importing torch takes
    from winnow.models.local.loading import load_local

    return load_local(
        path,
        name=name,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        products=products,
        memory=memory,
        trust_remote_code=trust_remote_code,
    )


def describe(name: str) -> str:
    """The model card of the bundled model: how it was made, what it can and cannot do.

    Raises
    ------
    InputError
        For any other model.
    """
    card = resources.files("winnow") / "data" / "card.md"
    if name != BUNDLED:
        raise InputError("only the bundled model has a card here", where=name, remedy="see its own README")
    if not card.is_file():
        raise InputError("this installation holds no model card", where=name, remedy="run make model, or reinstall")
    return card.read_text(encoding="utf-8")


def _bundled_directory() -> Path:
    directory = resources.files("winnow") / "data" / "bundled"
    if not (directory / "config.json").is_file():
        raise InputError(
            "this installation holds no bundled model", where=BUNDLED, remedy="run make model, or name another model"
        )
    return Path(str(directory))
