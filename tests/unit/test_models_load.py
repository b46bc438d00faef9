"""Loading: what cannot be loaded is a one-line error that says what to do; nothing heavy is imported early."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from winnow.models.load import describe, load
from winnow.models.local.directory import fingerprint
from winnow.values.errors import CapabilityError, InputError

Tiny = Callable[..., str]


@pytest.fixture
def copy(tiny_model: Tiny, tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    shutil.copytree(tiny_model("llama"), directory)
    return directory


def complaint(name: object, kind: type[InputError] = InputError) -> str:
    with pytest.raises(kind) as caught:
        load(str(name))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(name))
    return message


def edit_config(directory: Path, **changes: object) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_importing_is_light() -> None:
    code = (
        "import sys, winnow.models.load, winnow.models.tabular, winnow.ports.laws; "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, env=os.environ).returncode == 0


def test_no_such_directory(tmp_path: Path) -> None:
    assert "no such directory" in complaint(tmp_path / "nothing")
    assert "is a file" in complaint(__file__)


@pytest.mark.parametrize("name", ["nobody/has-this-model", "nomodelhere"])
def test_unknown_hub_id_without_network(name: str) -> None:
    assert "no such directory, and the hub cannot be asked" in complaint(name)


def test_not_a_name() -> None:
    assert "neither a directory nor a hub id" in complaint("what is this?")
    with pytest.raises(InputError, match="no model is named"):
        load(" ")


@pytest.mark.parametrize(
    ("lost", "said"),
    [("config.json", "no config.json"), ("model.safetensors", "no weights"), ("tokenizer.json", "no tok")],
)
def test_missing_file(copy: Path, lost: str, said: str) -> None:
    (copy / lost).unlink()
    assert said in complaint(copy)


def test_pickle_is_refused_unopened_and_the_remedy_named(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch /tmp/winnow-owned'\ntR.")
    message = complaint(copy)
    assert "pytorch_model.bin" in message
    assert "use_safetensors=False" in message
    assert "save_pretrained" in message
    assert not Path("/tmp/winnow-owned").exists()


def test_damaged_weights(copy: Path) -> None:
    with (copy / "model.safetensors").open("r+b") as file:
        file.truncate(3000)
    assert "cannot be loaded" in complaint(copy)


def test_weights_of_another_shape_or_number(copy: Path) -> None:
    edit_config(copy, num_hidden_layers=3)
    assert "lack model.layers.2" in complaint(copy)
    edit_config(copy, num_hidden_layers=2, vocab_size=99)
    assert "in another shape" in complaint(copy)


def test_malformed_config(copy: Path) -> None:
    (copy / "config.json").write_text("{")
    assert "not a valid JSON" in complaint(copy)


def test_unknown_architecture(copy: Path) -> None:
    edit_config(copy, model_type="neverheardof")
    assert "neverheardof" in complaint(copy)


def test_code_that_comes_with_a_model_is_not_run(copy: Path) -> None:
    auto_map = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    edit_config(copy, model_type="neverheardof", auto_map=auto_map)
    (copy / "evil.py").write_text("raise SystemExit('it ran')")
    assert "trust_remote_code=True" in complaint(copy)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "masked model"),
        (
            {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True},
            "encoder-dec",
        ),
    ],
)
def test_models_that_are_not_causal_are_refused_by_name(copy: Path, changes: dict[str, object], said: str) -> None:
    edit_config(copy, **changes)
    assert said in complaint(copy, CapabilityError)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"dtype": "float8"}, "did you mean"), ({"batch_size": 0}, "at least 1"), ({"device": "abacus"}, "try 'cpu'")],
)
def test_bad_settings(tiny_model: Tiny, settings: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(tiny_model("llama"), **settings)  # type: ignore[arg-type]


def test_identity_is_that_of_files_and_settings(copy: Path, tmp_path: Path) -> None:
    first = load(str(copy)).identity
    moved = tmp_path / "elsewhere" / "model"
    shutil.copytree(copy, moved)
    assert load(str(moved)).identity == first
    assert load(str(copy), batch_size=3).identity != first
    before = fingerprint(copy)
    edit_config(copy, rms_norm_eps=1e-4)
    assert fingerprint(copy) != before


def test_loading_says_nothing(tiny_model: Tiny, capfd: pytest.CaptureFixture[str]) -> None:
    directory = tiny_model("gpt2")
    capfd.readouterr()
    load(directory)
    assert capfd.readouterr() == ("", "")


def test_half_precision_loads_and_answers(tiny_model: Tiny) -> None:
    assert "bfloat16" in load(tiny_model("llama"), dtype="bfloat16").identity


def test_only_the_bundled_model_has_a_card() -> None:
    with pytest.raises(InputError, match="only the bundled model"):
        describe("some/other")


def test_longrope_keeps_to_the_context_its_angles_are_fixed_in(tiny_model: Tiny) -> None:
    """Beyond it, one long row would change the answers of the short rows beside it."""
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [4.0] * 4,
        "original_max_position_embeddings": 32,
        "factor": 3.0,
    }
    assert load(tiny_model("llama", rope_parameters=rope)).context_length == 32
    assert load(tiny_model("llama")).context_length == 96
