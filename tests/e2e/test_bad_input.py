"""Bad input is answered in one line with file, line and remedy, exit code 2, and nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Command

TASK = """\
queries: q.txt
pair: "a{query}b{answer}\\n"
evaluator: 'survey question="c?" words="a|b"'
max_tokens: 3
examples: 2
rounds: 1
reuse: true
"""


@pytest.fixture
def winnow(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINNOW_STORE", f"sqlite:///{tmp_path}/store.db")
    return Command(monkeypatch, capsys)


@pytest.fixture
def files(tmp_path) -> Path:
    (tmp_path / "task.yaml").write_text(TASK)
    (tmp_path / "q.txt").write_text("abc\nbad\ncab\nfed\n")
    return tmp_path


def refused(ended, *said: str) -> None:
    assert ended.code == 2
    assert ended.out == ""
    line = ended.err.strip()
    assert line.startswith("winnow: ")
    assert "\n" not in line
    for words in said:
        assert words in line, line


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_missing_task_file(winnow, files):
    refused(winnow("adapt", "tusk.yaml", "--model", "m"), "tusk.yaml: no such file")


def test_a_missing_queries_file_named_in_the_task(winnow, files):
    (files / "q.txt").unlink()
    refused(winnow("adapt", "task.yaml", "--model", "m"), "q.txt: no such file")


def test_malformed_yaml_names_line_and_column(winnow, files):
    edit(files / "task.yaml", "max_tokens: 3", "max_tokens: [3")
    refused(winnow("adapt", "task.yaml", "--model", "m"), "task.yaml:5:", "is not YAML", "check quotes")


def test_an_unknown_key_names_line_and_the_nearest_key(winnow, files):
    edit(files / "task.yaml", "evaluator:", "evaluater:")
    refused(
        winnow("adapt", "task.yaml", "--model", "m"),
        "task.yaml:3: unknown key 'evaluater'",
        "did you mean 'evaluator'?",
    )


def test_a_value_of_the_wrong_type_names_its_line(winnow, files):
    edit(files / "task.yaml", "max_tokens: 3", "max_tokens: many")
    refused(winnow("adapt", "task.yaml", "--model", "m"), "task.yaml:4: max_tokens must be int, not 'many'")


def test_a_csv_without_the_column(winnow, files):
    (files / "q.csv").write_text("question,answer\nabc,cab\n")
    refused(winnow("adapt", "--queries", "q.csv", "--model", "m"), "q.csv:1: has no column 'query'", "question")


def test_empty_queries(winnow, files):
    (files / "q.txt").write_text("\n  \n")
    refused(winnow("adapt", "task.yaml", "--model", "m"), "q.txt: holds no records", "one a line")


def test_a_query_that_contains_the_stop_string(winnow, files):
    edit(files / "task.yaml", "max_tokens: 3", 'stop: "ba"')
    refused(
        winnow("adapt", "task.yaml", "--model", "m"),
        "q.txt:2: the query contains the stop string 'ba'",
        "choose another",
    )


def test_a_file_that_is_not_utf8_names_the_line(winnow, files):
    (files / "q.txt").write_bytes(b"abc\nb\xe4d\n")
    refused(winnow("adapt", "task.yaml", "--model", "m"), "q.txt:2: byte 0xe4 is not UTF-8", "iconv")


def test_zero_rounds_names_the_line_of_the_task(winnow, files):
    edit(files / "task.yaml", "rounds: 1", "rounds: 0")
    refused(winnow("adapt", "task.yaml", "--model", "m"), "task.yaml:6: rounds: must be at least 1, not 0")
    refused(winnow("adapt", "--queries", "q.txt", "--rounds", "0", "--model", "m"), "rounds: must be at least 1, not 0")


def test_gold_of_another_length(winnow, files):
    (files / "gold.txt").write_text("a\nb\n")
    refused(
        winnow("adapt", "task.yaml", "--gold", "gold.txt", "--model", "m"), "2 gold answers for 4 queries", "same order"
    )


def test_no_model_no_queries_and_an_audit_without_gold(winnow, files, tiny_model):
    refused(winnow("adapt", "task.yaml"), "no model is named")
    refused(winnow("adapt"), "nothing to ask", "--queries FILE")
    refused(winnow("adapt", "task.yaml", "--model", tiny_model(), "--audit", "10"), "audit: needs gold labels")


def test_a_model_that_is_not_there(winnow, files):
    refused(winnow("adapt", "task.yaml", "--model", "./nowhere"), "nowhere")


def test_a_pickle_checkpoint_is_never_opened_and_says_how_to_convert(winnow, files, tmp_path, tiny_model):
    source, target = Path(tiny_model()), tmp_path / "pickled"
    target.mkdir()
    for file in source.iterdir():
        if file.suffix == ".json":
            (target / file.name).write_bytes(file.read_bytes())
    (target / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    refused(winnow("adapt", "task.yaml", "--model", target), "pickle", "safetensors")
    assert not (tmp_path / "pwned").exists()


def test_a_scale_of_one_word(winnow, files, tiny_model):
    edit(files / "task.yaml", 'words="a|b"', 'words="a"')
    refused(
        winnow("adapt", "task.yaml", "--model", tiny_model()), "task.yaml:3: ", "two words or more, not 1", "bad|good"
    )


def test_an_unknown_evaluator_names_the_nearest(winnow, files, tiny_model):
    refused(winnow("adapt", "task.yaml", "--evaluator", "servey", "--model", tiny_model()), "did you mean 'survey'?")


def test_a_prompt_longer_than_the_context_names_both_lengths_before_any_work(winnow, files, tiny_model):
    (files / "q.txt").write_text("\n".join(f"{'abcdefg ' * 5}{'abc'[i % 3] * (i + 1)}" for i in range(6)))
    ended = winnow("adapt", "task.yaml", "--model", tiny_model(), "--examples", "5", "--out", "run")
    refused(ended, "5 examples", "the context holds 96", "at most")
    assert not (files / "run").exists()


def test_an_output_directory_in_use_is_left_alone(winnow, files, tiny_model):
    (files / "run").mkdir()
    (files / "run" / "thesis.txt").write_text("precious")
    refused(winnow("adapt", "task.yaml", "--model", tiny_model(), "--out", "run"), "run: is in use", "new or empty")
    assert [path.name for path in (files / "run").iterdir()] == ["thesis.txt"]


def test_an_unknown_command_and_an_unknown_option_name_the_nearest(winnow):
    assert "did you mean 'adapt'?" in winnow("adopt").err
    ended = winnow("adapt", "--quieries", "x")
    assert ended.code == 2
    assert "--queries" in ended.err


def test_a_context_that_is_none(winnow, files):
    refused(winnow("ask", "--context", "nowhere", "why?"), "no such file")
    (files / "context.json").write_text('{"pair": 3}')
    refused(winnow("ask", "--context", ".", "why?"), "is not a context")


def test_and_the_files_above_do_work(winnow, files, tiny_model):
    """None of the refusals above is for another reason than its own."""
    ended = winnow("adapt", "task.yaml", "--model", tiny_model(), "--out", "run")
    assert ended.code == 0, ended.err
    assert {"rounds.jsonl", "answers.jsonl", "lineage.csv", "context.txt", "context.json"} <= {
        p.name for p in (files / "run").iterdir()
    }
