"""What is shipped: loadable without a warning, small, lossless, and described by its card."""

import json
import warnings

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from world.export import DATA
from world.publish import EXAMPLE, example

ROOT = DATA.parent.parent.parent
MEGABYTE = 1_000_000


def lines(name):
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def described():
    return json.loads((DATA / "world.json").read_text())


def test_package_data_is_small():
    files = [path for path in DATA.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) <= 10 * MEGABYTE
    for name in ("bundled", "masked"):
        assert (DATA / name / "model.safetensors").stat().st_size < 6 * MEGABYTE


@pytest.mark.parametrize(("name", "loader"), [("bundled", AutoModelForCausalLM), ("masked", AutoModelForMaskedLM)])
def test_models_load_whole_and_without_a_warning(name, loader, described):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, report = loader.from_pretrained(DATA / name, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(DATA / name)
    assert not any(report.values()), report
    assert len(tokenizer) == model.config.vocab_size == described["vocabulary_size"]
    assert model.config.max_position_embeddings == described["context"]
    assert model.dtype == torch.float32
    with safe_open(DATA / name / "model.safetensors", "pt") as weights:
        assert all(torch.isfinite(weights.get_tensor(key)).all() for key in list(weights.keys()))


def test_words_of_every_fixed_text_are_in_the_vocabulary(described):
    tokenizer = AutoTokenizer.from_pretrained(DATA / "bundled")
    fixed = [*described["headers"].values(), *described["scale"], *described["scale_never_evaluated"]]
    fixed += [f"Q: {row['query']}\nA: {row['answer']}\nIs that right?" for row in lines("facts.jsonl")[::50]]
    fixed += [f" {described['evasion']}", f" {described['nonsense_answer']}"]
    for text in fixed:
        tokens = tokenizer.tokenize(text)
        assert "".join(tokens) == text
        assert all(len(token) > 1 or token in "\n?.:,a" for token in tokens), tokens


def test_items_are_complete():
    facts = lines("facts.jsonl")
    assert set(facts[0]) == {"query", "entity", "attribute", "answer", "falsehood", "evaluated_in_training"}
    assert sum(not row["evaluated_in_training"] for row in facts) >= 1000
    assert 0.35 < sum(row["falsehood"] is not None for row in facts) / len(facts) < 0.45
    assert all(row["falsehood"] != row["answer"] for row in facts)
    assert {row["seen"] for row in lines("articles.jsonl")} == {"couplet", "never paired", "never after an article"}
    assert {row["seen"] for row in lines("rhymes.jsonl")} == {True, False}


def test_the_example_asks_what_the_package_holds():
    assert EXAMPLE.read_text() == example()


def test_the_card_is_the_same_in_the_package_and_in_the_docs():
    assert (DATA / "card.md").read_text() == (ROOT / "docs" / "bundled_model.md").read_text()
