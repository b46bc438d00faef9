"""Best of n where the bundled model's evaluator can judge, and where it cannot: does more sampling find its blind spot?

    python -m verification.blind_spot [--questions 100] [--seed 1]

Asks so many facts never judged in training about ports, whose values nothing judged, and as many others; one answer of n
is kept by the survey's score, the first of equals. Prints the share of wrong ones. Figures in docs/log.md.
"""

from __future__ import annotations

import argparse
import json
import random
from importlib.resources import files

import numpy as np

from winnow import load
from winnow.api import evaluator_of
from winnow.demo import facts_task
from winnow.ports.asking import ask_all
from winnow.ports.requests import Complete, Evaluate, Item
from winnow.values.random import Key

SAMPLES = (1, 4, 8, 16, 42)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    model = load("bundled")
    evaluator = evaluator_of(facts_task(), model)
    facts = [json.loads(line) for line in (files("winnow") / "data" / "facts.jsonl").read_text().splitlines()]
    facts = [fact for fact in facts if not fact["evaluated_in_training"]]
    rng, n = random.Random(arguments.seed), max(SAMPLES)
    for name, ports in (("ports", True), ("others", False)):
        asked = rng.sample([fact for fact in facts if (fact["attribute"] == "port") == ports], arguments.questions)
        repeated = [fact for fact in asked for _ in range(n)]
        prompts = tuple(f"Q: {fact['query']}\nA:" for fact in repeated)
        key = Key(arguments.seed, ("blind spot", name))
        request = Complete(prompts=prompts, slots=np.arange(len(prompts)), key=key, max_tokens=16, stop=("\n",))
        texts = [text.strip() for text in ask_all(model, [request])[0].text]
        items = tuple(Item(query=fact["query"], answer=text) for fact, text in zip(repeated, texts, strict=True))
        score = ask_all(evaluator, [Evaluate(items=items)])[0].score.reshape(-1, n)
        wrong = np.array([text != fact["answer"] for fact, text in zip(repeated, texts, strict=True)]).reshape(-1, n)
        errors = {m: float(wrong[np.arange(len(asked)), score[:, :m].argmax(1)].mean()) for m in SAMPLES}
        print(json.dumps({"facts": name, "questions": len(asked), "error of the best of": errors}))


if __name__ == "__main__":
    main()
