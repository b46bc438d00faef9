"""Verifiers, likelihood, a person, and the specs that name them."""

from __future__ import annotations

import io
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from winnow.evaluators import verifier
from winnow.evaluators.likelihood import Likelihood
from winnow.evaluators.person import Person, visible
from winnow.evaluators.spec import build, parse
from winnow.models.tabular import Tabular
from winnow.ports.program import ask, run
from winnow.ports.requests import Backend, Choose, Evaluate, Item, Scores
from winnow.values.errors import CapabilityError, InputError, LimitReached


def scores(evaluator: Backend, *items: tuple[str, str]) -> Scores:
    return run(ask(Evaluate(items=tuple(Item(*item) for item in items))), evaluator)


def verdicts(evaluator: Backend, *answers: str, query: str = "q") -> list[float]:
    return scores(evaluator, *((query, answer) for answer in answers)).score.tolist()


# ---- comparisons with gold and patterns


def test_exact_ignores_white_space_around_only() -> None:
    assert verdicts(verifier.exact({"q": "The Owl"}), " The Owl\n", "the owl", "The  Owl") == [1, 0, 0]


def test_normalised_ignores_case_punctuation_articles_and_white_space() -> None:
    check = verifier.normalised({"q": "The Owl"})
    assert verdicts(check, "owl.", "an OWL!", "  'the'  owl ", "owls", "") == [1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("it is 1,234.50 in all", "1234.5", True),
        ("3 then 4", "4", True),
        ("4 then 3", "4", False),
        ("about -2e3", "-2000", True),
        ("−5", "-5", True),
        ("10-5", "5", True),
        ("x5", "5", True),
        ("none", "4", False),
        ("1000001", "1000000", False),
        ("0.30000000000000004", "0.3", True),
    ],
)
def test_numeric_compares_last_numbers_within_a_relative_tolerance(answer: str, gold: str, right: bool) -> None:
    assert verdicts(verifier.numeric({"q": gold}), answer) == [float(right)]


def test_numeric_tolerance_is_relative() -> None:
    assert verdicts(verifier.numeric({"q": "200"}, tolerance=0.01), "202", "203") == [1, 0]
    with pytest.raises(InputError, match="tolerance"):
        verifier.numeric({"q": "1"}, tolerance=-1)


def test_gold_without_a_number_or_without_the_query_is_named() -> None:
    with pytest.raises(InputError, match="'many' holds no number"):
        verdicts(verifier.numeric({"q": "many"}), "4")
    with pytest.raises(InputError, match="no gold answer to 'other'"):
        verdicts(verifier.exact({"q": "1"}), "4", query="other")


def test_regex() -> None:
    assert verdicts(verifier.matches(r"\bdog\b"), "a dog.", "dogs") == [1, 0]
    with pytest.raises(InputError, match="no regular expression"):
        verifier.matches("(")


# ---- the user's own function


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def write(directory: Path, name: str, code: str) -> str:
    (directory / f"{name}.py").write_text(textwrap.dedent(code))
    sys.modules.pop(name, None)
    return name


def test_users_function_is_found_in_the_current_directory(here: Path) -> None:
    write(
        here,
        "judge_ok",
        """
        import numpy

        def yes(query, answer): return answer == "yes"
        def half(query, answer): return numpy.float32(0.5)
        """,
    )
    assert verdicts(verifier.function("judge_ok:yes"), "yes", "no") == [1, 0]
    assert verdicts(verifier.function("judge_ok:half"), "yes") == [0.5]


def test_identity_of_a_users_function_changes_with_its_code(here: Path) -> None:
    write(here, "judge_code", "def yes(query, answer): return True\n")
    before = verifier.function("judge_code:yes").identity
    (here / "judge_code.py").write_text("def yes(query, answer): return False\n")
    assert verifier.function("judge_code:yes").identity != before


@pytest.mark.parametrize("value", ["2", "-0.1", "float('nan')", "None", "'yes'", "[]"])
def test_what_is_no_score_is_said_with_query_and_function(here: Path, value: str) -> None:
    name = write(here, "judge_bad", f"def score(query, answer): return {value}\n")
    with pytest.raises(InputError, match=r"judge_bad:score: returned .* on query 'How many\?'") as caught:
        verdicts(verifier.function(f"{name}:score"), "x", query="How many?")
    assert "\n" not in str(caught.value)


def test_an_error_in_the_function_is_one_line(here: Path) -> None:
    name = write(here, "judge_raises", "def score(query, answer): raise KeyError('first\\nsecond')\n")
    with pytest.raises(InputError, match=r"judge_raises:score: raised KeyError") as caught:
        verdicts(verifier.function(f"{name}:score"), "x", query="How\nmany? " + "very " * 50)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("judge_names:scroe", "did you mean 'score'"),
        ("judge_names:LIMIT", "did you mean|known"),
        ("judge_nowhere:score", "no module 'judge_nowhere' .*looked in"),
        ("judge_broken:score", "fails to import: ZeroDivisionError"),
        ("judge_needs:score", "fails to import: No module named 'not_installed_at_all'"),
        ("judge_names:", "is not module:function"),
    ],
)
def test_functions_that_are_not_there(here: Path, path: str, message: str) -> None:
    write(here, "judge_names", "LIMIT = 3\ndef score(query, answer): return 1\n")
    write(here, "judge_broken", "1 / 0\n")
    write(here, "judge_needs", "import not_installed_at_all\n")
    with pytest.raises(InputError, match=message):
        verifier.function(path)


# ---- likelihood


def test_likelihood_is_the_geometric_mean_of_token_probabilities() -> None:
    model = Tabular.random(["Q: ", "\nA:", " ", "x", "y", "\n"], order=1)
    reply = scores(Likelihood(model), ("x", "xy"), ("x", " xy "), ("x", ""))
    after = model.table
    chain = after[1][2] * after[2][3] * after[3][4]
    assert reply.score == pytest.approx([chain ** (1 / 3), chain ** (1 / 3), 0])
    assert reply.parts[0] == pytest.approx({"logprob": np.log(chain), "num_tokens": 3})


# ---- a person


def sitting(*lines: str) -> tuple[Person, io.StringIO]:
    shown = io.StringIO()
    return Person(io.StringIO("".join(f"{line}\n" for line in lines)), shown), shown


def test_a_person_scores_skips_and_is_asked_again() -> None:
    person, shown = sitting("y", "no", "3", "what", "s")
    reply = scores(person, *[("q", answer) for answer in "abcd"])
    assert reply.score.tolist() == [1, 0, 0.75, 0]
    assert [part["skipped"] for part in reply.parts] == [0, 0, 0, 1]
    assert "'what' is none of" in shown.getvalue()


def test_a_person_picks_or_skips() -> None:
    person, shown = sitting("3", "2", "s")
    assert run(ask(Choose(query="q", options=("a", "b"))), person).picked == 1
    assert run(ask(Choose(query="q", options=("a", "b"))), person).picked is None
    assert "1 | a" in shown.getvalue()


@pytest.mark.parametrize("lines", [("y", "q"), ("y",)])
def test_quitting_and_the_end_of_input_stop_like_a_limit(lines: tuple[str, ...]) -> None:
    person, _ = sitting(*lines)
    with pytest.raises(LimitReached, match="everything answered before is kept"):
        scores(person, ("q", "a"), ("q", "b"))


def test_control_c_quits() -> None:
    class Interrupted(io.StringIO):
        def readline(self, size: int | None = -1, /) -> str:
            raise KeyboardInterrupt

    with pytest.raises(LimitReached):
        scores(Person(Interrupted(), io.StringIO()), ("q", "a"))


def test_model_text_is_shown_with_its_control_characters_written_out() -> None:
    person, shown = sitting("y")
    scores(person, ("q", "\x1b[2Ja\r\u202eb\nno. 1 - right? y"))
    text = shown.getvalue()
    assert "\x1b" not in text
    assert "\\x1b[2Ja\\r\\u202eb" in text
    assert "\n         | no. 1" in text
    assert visible("tab\tend\n") == "tab\\tend\n"


# ---- specs


def test_specs_as_lines_and_mappings_are_the_same() -> None:
    assert parse(r'verifier regex="\bdog\b"') == parse({"verifier": {"regex": r"\bdog\b"}})
    assert parse("survey digits permute") == parse({"survey": {"digits": True, "permute": True, "calibrate": False}})
    assert parse("verifier exact") == parse({"verifier": "exact"})
    assert parse("person") == parse({"person": None})


def test_specs_build_what_they_name(here: Path) -> None:
    write(here, "judge_spec", "def yes(query, answer): return True\n")
    model = Tabular.random(["Q: ", "\nA:", " ", "x", "\n", "Good?", "bad", "good"], order=1)
    gold = {"q": "x"}
    words = build('survey question="Good?" words="bad|good"', model=model)
    assert set(scores(words, ("x", "x")).parts[0]) == {"bad", "good", "off_scale", "entropy", "cut"}
    assert verdicts(build(r'verifier regex="\bdog\b"'), "dog") == [1]
    assert verdicts(build({"verifier": {"numeric": True, "tolerance": 0.5}}, gold={"q": "4"}), "5") == [1]
    assert verdicts(build("verifier judge_spec:yes"), "dog") == [1]
    assert verdicts(build("verifier function=judge_spec:yes"), "dog") == [1]
    assert verdicts(build("verifier normalised", gold=gold), "X") == [1]
    assert build("likelihood", model=model).identity.startswith("likelihood")
    assert build("person name=ann").identity == "person ann"


def test_an_evaluator_can_come_from_one_file_of_the_users(here: Path) -> None:
    write(
        here,
        "my_evaluator",
        """
        from winnow.evaluators.verifier import Verifier

        def short(setting, flags, options):
            limit = int(options["limit"])
            return Verifier("short", lambda query, answer: len(answer) <= limit, identity=f"short {limit}")

        def nothing(setting, flags, options): return None
        def check(query, answer): return True
        """,
    )
    assert verdicts(build("my_evaluator:short limit=3"), "abc", "abcd") == [1, 0]
    with pytest.raises(InputError, match="did not return an evaluator"):
        build("my_evaluator:nothing")
    with pytest.raises(InputError, match="verifier my_evaluator:check"):
        build("my_evaluator:check")


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("surve", InputError, "did you mean 'survey'"),
        ("", InputError, "is empty"),
        ("survey", CapabilityError, "needs a model"),
        ("likelihood", CapabilityError, "needs a model"),
        ("survey digit", InputError, "did you mean 'digits'"),
        ("survey qestion=x", InputError, "did you mean 'question'"),
        ('survey words="a', InputError, "close the quotation mark"),
        ("verifier exact", CapabilityError, "compares with gold"),
        ("verifier exat", InputError, "did you mean 'exact'"),
        ("verifier", InputError, "is one check, not nothing"),
        ("verifier exact numeric", InputError, "is one check, not exact and numeric"),
        ("verifier regex", InputError, "regex needs a value"),
        ({"verifier": {"numeric": True, "tolerance": "x"}}, InputError, "must be a number"),
        ({"survey": ["bad", "good"]}, InputError, "must be key: value"),
        ({"survey": None, "person": None}, InputError, "one name with its options"),
        ("person x", InputError, "no setting 'x'"),
    ],
)
def test_specs_that_are_wrong(spec: Any, error: type[InputError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        build(spec, gold={"q": "1"} if "x" in str(spec) and "numeric" in str(spec) else None)
    assert "\n" not in str(caught.value)
