"""Searches on a model small enough to enumerate: what they should find is computed, not guessed."""

from __future__ import annotations

import numpy as np
import pytest

from winnow.evaluators.verifier import Verifier
from winnow.models.tabular import Tabular
from winnow.ports.program import Note, Program, gather, run
from winnow.ports.requests import Router
from winnow.search.beam import beam
from winnow.search.best_of_n import best_of_n
from winnow.search.found import Found
from winnow.search.smc import Target, smc
from winnow.values.logspace import FloatArray, IntArray
from winnow.values.population import RESAMPLERS
from winnow.values.random import Key
from winnow.values.tree import Tree

DEPTH = 4


def root(model: Tabular, prompt: str = "a") -> Tree:
    return Tree([model.codec.encode(prompt)])


def written(found: Found) -> list[tuple[int, ...]]:
    return [tuple(found.tree.tokens(int(node))) for node in found.nodes]


class Notes:
    def __init__(self) -> None:
        self.notes: list[Note] = []

    def on_note(self, note: Note) -> None:
        self.notes.append(note)

    def on_reply(self, done: int, asked: int, cost: object) -> None:
        pass


# ---- beam


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("order", [1, 2])
def test_full_width_beam_is_the_enumerated_argmax(seed: int, order: int) -> None:
    model = Tabular.random("abc", order=order, key=Key(seed))
    texts = model.enumerate_texts(DEPTH, "a")
    width = 4**DEPTH
    program = beam(root(model), 0, width=width, depth=DEPTH, end_tokens=model.codec.end_tokens)
    found = run(program, model)
    truth = np.argsort(-texts.logprob, kind="stable")
    assert written(found)[0] == texts.tokens[truth[0]]
    assert found.logprob == pytest.approx(texts.logprob[truth], abs=1e-12)
    assert dict(zip(written(found), found.finished, strict=True)) == dict(zip(texts.tokens, texts.ended, strict=True))


@pytest.mark.parametrize("width", [1, 2, 3, 8])
def test_beam_agrees_with_a_plain_reimplementation(width: int) -> None:
    """Hypotheses as lists of tokens, one at a time; keeps 2W candidates and only the first W may finish."""
    for seed in range(20):
        model = Tabular.random("abcd", order=2, key=Key(seed))
        end = model.codec.end_tokens[0]
        live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
        done: list[tuple[tuple[int, ...], float]] = []
        head = model.codec.encode("a")
        for _ in range(6):
            rows = [
                ((*tokens, token), score + float(np.log(model.table[model._state([*head, *tokens]), token])))
                for tokens, score in live
                for token in range(end + 1)
            ]
            rows = sorted(rows, key=lambda row: -row[1])[: 2 * width]
            done += [row for place, row in enumerate(rows) if row[0][-1] == end and place < width]
            done = sorted(done, key=lambda row: -row[1])[:width]
            live = [row for row in rows if row[0][-1] != end][:width]
            if len(done) == width and live[0][1] <= done[-1][1]:
                break
        expected = sorted(done + live, key=lambda row: -row[1])[:width]
        found = run(beam(root(model), 0, width=width, depth=6, end_tokens=(end,)), model)
        assert written(found) == [tokens for tokens, _ in expected], seed
        assert found.logprob == pytest.approx([score for _, score in expected], abs=1e-12)


def test_beam_without_end_tokens_writes_to_its_depth() -> None:
    model = Tabular.random("abc", order=1, key=Key(3))
    found = run(beam(root(model), 0, width=5, depth=3), model)
    assert [len(tokens) for tokens in written(found)] == [3] * 5
    assert not found.finished.any()
    assert np.all(np.diff(found.logprob) <= 0)
    assert found.best == 0


def test_beam_gives_fewer_where_there_are_fewer() -> None:
    # after a only b, after b only the end: one text in the world
    model = Tabular("ab", [[0, 1, 0], [0, 0, 1], [0, 0, 1]])
    found = run(beam(root(model), 0, width=10, depth=5, end_tokens=model.codec.end_tokens), model)
    assert written(found) == [(1, 2)]
    assert found.finished.all()
    assert found.logprob == pytest.approx([0.0])


def test_lineage_of_a_beam_is_its_tree() -> None:
    model = Tabular.random("abc", order=1, key=Key(5))
    found = run(beam(root(model), 0, width=3, depth=3), model)
    for node in found.nodes:
        assert found.lineage.ancestors([int(node)]).tolist() == sorted([0, *found.tree.path(int(node))[:-1]])


@pytest.mark.parametrize(("width", "depth"), [(0, 3), (3, 0)])
def test_beam_refuses_nothing_to_do(width: int, depth: int) -> None:
    model = Tabular.random("ab")
    with pytest.raises(ValueError, match="at least 1"):
        run(beam(root(model), 0, width=width, depth=depth), model)


# ---- sequential Monte Carlo


def forbid_a(tree: Tree, nodes: IntArray) -> Program[FloatArray]:
    """Writing the symbol a costs a factor of 10."""
    return np.where(tree.token[nodes] == 0, np.log(0.1), 0.0)
    yield ()  # asks nothing


def enumerated(model: Tabular, power: float, penalised: bool) -> dict[tuple[int, ...], float]:
    """The unnormalised target, text by text."""
    texts = model.enumerate_texts(DEPTH, "a")
    factor = [0.1 ** tokens.count(0) if penalised else 1.0 for tokens in texts.tokens]
    return dict(zip(texts.tokens, np.exp(power * texts.logprob) * np.array(factor), strict=True))


@pytest.mark.parametrize("trigger", [0.5, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("scheme", sorted(RESAMPLERS))
def test_mean_of_the_evidence_estimate_is_the_enumerated_sum(scheme: str, temperature: float, trigger: float) -> None:
    model = Tabular.random("abc", order=1, key=Key(11))
    truth = sum(enumerated(model, 1.7, penalised=True).values())
    programs = [
        smc(
            root(model),
            0,
            num_particles=8,
            depth=DEPTH,
            key=Key(seed),
            end_tokens=model.codec.end_tokens,
            target=Target(power=1.7, potential=forbid_a),
            temperature=temperature,
            scheme=scheme,
            trigger=trigger,
        )
        for seed in range(150)
    ]
    estimates = np.array([np.exp(found.log_evidence) for found in run(gather(programs), model)])
    assert abs(estimates.mean() - truth) <= 3 * estimates.std(ddof=1) / np.sqrt(estimates.size)
    assert estimates.std() > 0


def test_evidence_of_the_model_itself_is_one() -> None:
    model = Tabular.random("abc", order=1, key=Key(2))
    found = run(smc(root(model), 0, num_particles=20, depth=5, key=Key(0), end_tokens=model.codec.end_tokens), model)
    assert found.log_evidence == pytest.approx(0.0, abs=1e-12)
    assert found.logprob == pytest.approx(found.tree.path_logprob(found.nodes), abs=1e-12)


def test_total_variation_of_the_posterior_falls_as_one_over_the_root_of_n() -> None:
    model = Tabular.random("abc", order=1, key=Key(4))
    target = enumerated(model, 2.0, penalised=False)
    total = sum(target.values())
    sizes = np.array([64, 256, 1024])
    mean, error = np.empty(3), np.empty(3)
    for place, size in enumerate(sizes):
        distances = []
        for seed in range(20):
            program = smc(
                root(model),
                0,
                num_particles=int(size),
                depth=DEPTH,
                key=Key(seed),
                end_tokens=(3,),
                target=Target(power=2.0),
            )
            found = run(program, model)
            weight = np.exp(found.population.log_weight)
            estimate: dict[tuple[int, ...], float] = {}
            for tokens, share in zip(written(found), weight / weight.sum(), strict=True):
                estimate[tokens] = estimate.get(tokens, 0.0) + float(share)
            distances.append(0.5 * sum(abs(estimate.get(x, 0.0) - mass / total) for x, mass in target.items()))
        mean[place] = np.mean(distances)
        error[place] = np.std(distances, ddof=1) / np.sqrt(20) / mean[place]
    centred = np.log(sizes) - np.log(sizes).mean()
    slope = centred @ np.log(mean) / (centred @ centred)
    standard_error = np.sqrt((centred**2) @ error**2) / (centred @ centred)
    assert abs(slope + 0.5) <= 3 * standard_error
    assert standard_error < 0.1


def test_smc_notes_weigh_before_resampling() -> None:
    model = Tabular.random("abc", order=1, key=Key(4))
    watcher = Notes()
    program = smc(root(model), 0, num_particles=50, depth=6, key=Key(0), target=Target(power=3.0), trigger=1.0)
    run(program, model, observer=watcher)
    assert [note.info["step"] for note in watcher.notes] == list(range(6))
    assert all(1 <= note.info["ess"] <= 50 + 1e-9 for note in watcher.notes)
    assert [note.info["resampled"] for note in watcher.notes] == [True] * 5 + [False]
    assert all(note.population is not None and len(note.population) == 50 for note in watcher.notes)


def test_smc_says_when_nothing_is_possible_any_more() -> None:
    def never(tree: Tree, nodes: IntArray) -> Program[FloatArray]:
        return np.full(nodes.size, -np.inf)
        yield ()

    model = Tabular.random("abc", order=1, key=Key(4))
    found = run(smc(root(model), 0, num_particles=5, depth=6, key=Key(0), target=Target(potential=never)), model)
    assert found.log_evidence == -np.inf
    assert np.all(found.population.log_weight == -np.inf)


# ---- best of n


def letter_score(query: str, answer: str) -> float:
    return answer.count("b") / max(1, len(answer))


@pytest.mark.parametrize("num", [1, 2, 5])
def test_distribution_of_the_best_of_n_is_the_closed_form(num: int) -> None:
    model = Tabular.random("ab", order=1, key=Key(8))
    texts = model.enumerate_texts(3, "a")
    scores = np.array([letter_score("", text) for text in texts.text])
    backend = Router(model, Verifier("letters", letter_score, identity="letters"))
    repeats = 2000
    programs = [best_of_n("a", query="?", num=num, key=Key(seed), max_tokens=3) for seed in range(repeats)]
    results = run(gather(programs), backend)
    best = np.array([result.scores.score[result.best] for result in results])
    for level in np.unique(scores):
        below = np.exp(texts.logprob[scores <= level + 1e-12]).sum()
        expected = min(1.0, below) ** num
        error = np.sqrt(expected * (1 - expected) / repeats)
        assert abs((best <= level + 1e-12).mean() - expected) <= 3.5 * error + 1e-12


def test_more_draws_keep_the_earlier_ones() -> None:
    model = Tabular.random("ab", order=1, key=Key(8))
    backend = Router(model, Verifier("letters", letter_score, identity="letters"))
    few, many = (run(best_of_n("a", query="?", num=n, key=Key(0), max_tokens=3), backend) for n in (3, 9))
    assert many.completions.text[:3] == few.completions.text
    assert few.text == few.completions.text[few.best]


# ---- the laws of programs


def test_lockstep_gives_the_same_as_one_by_one() -> None:
    model = Tabular.random("abc", order=2, key=Key(1))
    backend = Router(model, Verifier("letters", letter_score, identity="letters"))
    ends = model.codec.end_tokens

    def programs() -> list[Program[Found]]:
        tree = root(model)
        beams = [beam(tree, 0, width=width, depth=4, end_tokens=ends) for width in (1, 2, 5)]
        clouds = [
            smc(tree, 0, num_particles=7, depth=4, key=Key(seed), target=Target(power=2.0), temperature=t, trigger=1.0)
            for seed, t in ((0, 1.0), (1, 0.5))
        ]
        return [*beams, *clouds]

    together = run(gather(programs()), backend)
    for one, same in zip([run(program, backend) for program in programs()], together, strict=True):
        assert written(one) == written(same)
        assert one.logprob.tobytes() == same.logprob.tobytes()
        assert one.population.log_weight.tobytes() == same.population.log_weight.tobytes()
        assert one.log_evidence == same.log_evidence
