"""Selection in context on a small real model: do stories that mention a dog become more frequent when they are selected?

    python -m verification.stories ../shared/models/stories260K [--seeds 5]

The criterion is a verifier, so nothing is evaluated by the model; the rival is the same loop, as many survivors at random.
Then the same model with the survey: it must be refused, since it puts no probability on the scale's words.
"""

from __future__ import annotations

import argparse
import warnings

from benchmarks.adaption_rows import spread
from winnow import Task, adapt, load
from winnow.values.records import to_json

NAMES = ("Lily", "Tom", "Ben", "Mia", "Sam", "Lucy", "Max", "Anna", "Jack", "Sue")
STARTS = (
    "{} was",
    "{} went to",
    "{} and mom",
    "{} saw",
    "{} liked to",
    "{} had a",
    "{} found a",
    "{} wanted to",
    "One day {}",
    "Once {}",
)
OPENINGS = [start.format(name) for start in STARTS for name in NAMES]


def task(**changes: object) -> Task:
    """A hundred openings; a line of story after each."""
    settings = {
        "queries": OPENINGS, "pair": "{query}{answer}\n", "evaluator": r'verifier regex="\bdog\b"', "max_tokens": 40,
        "examples": 4, "rounds": 5, "reuse": True, **changes,
    }  # fmt: skip
    return Task(**settings)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    model = load(arguments.model)
    shares: dict[str, list[float]] = {"soft": [], "random": []}
    for seed in range(arguments.seeds):
        for rule, ends in shares.items():
            run = adapt(model, task(select=rule), seed=seed)
            if rule == "soft" and seed == 0:
                print(
                    to_json(
                        {
                            "row": "share that mentions a dog, by round, seed 0",
                            "rounds": [r["mean_score"] for r in run.rounds],
                        }
                    )
                )
            ends.append(run.rounds[-1]["mean_score"])
    for rule, ends in shares.items():
        print(to_json(spread(f"{rule}: share that mentions a dog after 5 rounds", ends, n_each=len(OPENINGS))))
    print(to_json(spread("soft minus random", [a - b for a, b in zip(shares["soft"], shares["random"])])))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = adapt(model, task(evaluator="survey", pair="Q: {query}\nA: {answer}\n"), seed=0)
    print(to_json({"row": "the same model with the survey", "stop": run.stop.reason, "why": run.stop.message,
                   "warned": [str(one.message) for one in said]}))  # fmt: skip


if __name__ == "__main__":
    main()
