"""How examples and headers move the answers, beside the Bayes-optimal reader of the same examples."""

from typing import Any

from world import words
from world.authors import BUNDLED, AuthorPrior, Response, bayes_response, bayes_response_to_authored
from world.contexts import authored_examples, examples
from world.facts import Fact
from world.figures.bench import Answers, Bench
from world.statistics import mean, share

NUM_EXAMPLES = 16
EDGE = tuple(range(0, NUM_EXAMPLES + 1, 2))
TRIANGLE = tuple((16 - w - e, w, e) for e in range(0, 17, 4) for w in range(0, 17 - e, 4))
Composition = tuple[int, int, int]


def errors(answers: Answers) -> dict[str, Any]:
    return {
        "error": mean(1 - answers.right).rounded(),
        "greedy_error": share(~answers.greedy_right).rounded(),
        "evasive": mean(answers.evasive).rounded(),
    }


def after(bench: Bench, pool: list[Fact], composition: Composition) -> Answers:
    """Answers after (right, wrong, evasive) examples, drawn anew for each query."""
    rng = bench.rng(f"response/{composition}")
    right, wrong, evasive = composition
    facts = bench.queries(rng, pool)
    world = bench.world
    contexts = [
        examples(rng, world.facts, world, right=right, wrong=wrong, evasive=evasive, avoid=fact) for fact in facts
    ]
    return bench.ask(facts, contexts)


def contexts(bench: Bench, pool: list[Fact], sizes: tuple[int, ...] = (2, 4, 8, 16)) -> dict[str, Any]:
    """Without context, after 2 to 16 examples right, half right and wrong, and after each header."""
    found = {"none": errors(after(bench, pool, (0, 0, 0)))}
    for k in sizes:
        for name, composition in (("right", (k, 0, 0)), ("half", (k // 2, k // 2, 0)), ("wrong", (0, k, 0))):
            found[f"{k} {name}"] = errors(after(bench, pool, composition))
    facts = bench.queries(bench.rng("headers"), pool)
    for kind, text in words.HEADERS.items():
        found[f"header {kind}"] = errors(bench.ask(facts, [text] * len(facts)))
    return found


def against_bayes(
    bench: Bench, pool: list[Fact], compositions: tuple[Composition, ...], prior: AuthorPrior = BUNDLED
) -> list[dict[str, Any]]:
    """Measured and Bayes-optimal probabilities of a right, wrong and evasive answer, a row a composition."""
    rows = []
    misleading = bench.world.misleading_share
    for right, wrong, evasive in compositions:
        answers = after(bench, pool, (right, wrong, evasive))
        line = bayes_response(prior, right=right, wrong=wrong, evasive=evasive, misleading=misleading)
        rows.append(_row((right, wrong, evasive), answers, line))
    return rows


def edge(bench: Bench, pool: list[Fact], prior: AuthorPrior = BUNDLED) -> list[dict[str, Any]]:
    """The response curve: no evasions, 16 examples, wrong share 0 to 1."""
    return against_bayes(bench, pool, tuple((NUM_EXAMPLES - w, w, 0) for w in EDGE), prior)


def authored_edge(bench: Bench, pool: list[Fact], prior: AuthorPrior = BUNDLED) -> list[dict[str, Any]]:
    """The response curve over contexts as one author would have written them, which training consists of."""
    rows = []
    for wrong in EDGE:
        right = NUM_EXAMPLES - wrong
        rng = bench.rng(f"authored/{wrong}")
        facts = bench.queries(rng, pool)
        written = [authored_examples(rng, bench.world, prior, right=right, wrong=wrong, avoid=fact) for fact in facts]
        line = bayes_response_to_authored(
            prior, right=right, wrong=wrong, evasive=0, misleading=bench.world.misleading_share
        )
        rows.append(_row((right, wrong, 0), bench.ask(facts, written), line))
    return rows


def _row(composition: Composition, answers: Answers, line: Response) -> dict[str, Any]:
    return {
        "examples": list(composition),
        "right": mean(answers.right).rounded(),
        "wrong": mean(1 - answers.right - answers.evasive).rounded(),
        "evasive": mean(answers.evasive).rounded(),
        "bayes": [round(p, 4) for p in line],
    }


def triangle(bench: Bench, pool: list[Fact]) -> list[dict[str, Any]]:
    return against_bayes(bench, pool, TRIANGLE)


def distance(rows: list[dict[str, Any]]) -> float:
    """The largest difference of an error to its Bayes line."""
    return max(float(abs(row["right"]["value"] - row["bayes"][0])) for row in rows)
