"""What the gates read while a model trains: quick, on few questions, always on phrasings no document uses.

facts       P(right) without context
gap, auc    mean P(yes | right) - P(yes | wrong) over facts never judged, and how often the right answer has the
            higher one, of judged attributes; gap_judged and auc_judged over judged facts
survey_gap  the same of the survey's score
mood_gap    P(a glad deed | 4 glad tales) - P(a glad deed | 4 sad ones), from the phase `tell` on
author_gap  P(right | right examples) - P(right | wrong ones), 3 to 12 of them by phase
"""

import random

import numpy as np
from numpy.typing import NDArray

from world import words
from world.authors import FALSEHOOD_SHARE
from world.contexts import examples, prompt
from world.facts import Fact, World
from world.read import Reader
from world.tales import told

NUM_QUESTIONS = 128
NUM_EXAMPLES = {"authors": 3, "world": 8, "cool": 12, "polish": 12, "read": 12, "tell": 8, "settle": 12}
"""As many as a row of the phase holds."""


def survey_score(
    reader: Reader, texts: list[str], scale: tuple[str, ...] = words.STANDARD_SCALE
) -> NDArray[np.float64]:
    """Upper mass over upper and lower mass of the scale, after texts that end with the answer."""
    mass = reader.continuations([f"{text}\n{words.SURVEY_QUESTION}" for text in texts], [f" {w}" for w in scale])
    upper, lower = mass[:, 3:].sum(1), mass[:, :2].sum(1)
    return np.asarray(upper / (upper + lower), np.float64)


def verdict_score(reader: Reader, texts: list[str], *, remark: bool = False) -> NDArray[np.float64]:
    """P(yes) among yes and no, after texts that end with the answer: on the next line, or as a remark behind it."""
    yes, no = (reader.codec.encode_piece(word)[0] for word in ((" yes", " no") if remark else ("Yes", "No")))
    p = reader.next_token(texts if remark else [f"{text}\n" for text in texts])
    return p[:, yes] / (p[:, yes] + p[:, no])


def right_probability(reader: Reader, texts: list[str], facts: list[Fact]) -> NDArray[np.float64]:
    ids = [reader.codec.encode_piece(f" {fact.answer}")[0] for fact in facts]
    return reader.next_token(texts)[np.arange(len(facts)), ids]


def glad_probability(reader: Reader, texts: list[str]) -> float:
    """Mean P(glad) among glad and sad deeds, after texts that end before a deed."""
    glad, sad = (
        reader.next_token(texts)[:, [reader.codec.encode_piece(f" {deed}")[0] for deed in deeds]].sum(1)
        for deeds in (words.GLAD_DEEDS, words.SAD_DEEDS)
    )
    return float((glad / (glad + sad)).mean())


class Probe:
    def __init__(self, world: World, seed: int = 5) -> None:
        rng = random.Random(f"probe/{seed}")
        self.any = rng.sample(world.facts, NUM_QUESTIONS)
        reached = [fact for fact in world.unjudged if fact.attribute != words.UNJUDGED_ATTRIBUTE]
        self.unjudged = rng.sample(reached, NUM_QUESTIONS)
        self.judged = rng.sample(world.judged, NUM_QUESTIONS)
        self.wrong = {
            fact.query: world.wrong_answer(rng, fact, falsehood_share=FALSEHOOD_SHARE)
            for fact in (*self.unjudged, *self.judged)
        }
        self.tales = {glad: [told(rng, 4, glad=glad) for _ in range(NUM_QUESTIONS)] for glad in (True, False)}
        self.contexts = {
            (k, kind): [
                examples(rng, world.facts, world, right=k * (kind == "right"), wrong=k * (kind == "wrong"), avoid=f)
                for f in self.unjudged
            ]
            for k in sorted(set(NUM_EXAMPLES.values()))
            for kind in ("right", "wrong")
        }

    def __call__(self, reader: Reader, phase: str) -> dict[str, float]:
        """The quantities a phase's gate may name."""
        out = {"facts": float(right_probability(reader, [prompt(f) for f in self.any], self.any).mean())}
        if phase == "facts":
            return out
        for name, facts in (("gap", self.unjudged), ("gap_judged", self.judged)):
            right, wrong = self._answered(facts)
            remark = phase in ("judge", "authors")
            yes_right = verdict_score(reader, right, remark=remark)
            yes_wrong = verdict_score(reader, wrong, remark=remark)
            out[name] = float((yes_right - yes_wrong).mean())
            out[name.replace("gap", "auc")] = float((yes_right[:, None] > yes_wrong).mean())
        if phase == "judge":
            return out
        right, wrong = self._answered(self.unjudged)
        out["survey_gap"] = float((survey_score(reader, right) - survey_score(reader, wrong)).mean())
        prompts = [prompt(f) for f in self.unjudged]
        for kind in ("right", "wrong"):
            contexts = self.contexts[NUM_EXAMPLES[phase], kind]
            texts = [c + p for c, p in zip(contexts, prompts, strict=True)]
            out[f"after_{kind}"] = float(right_probability(reader, texts, self.unjudged).mean())
        out["author_gap"] = out["after_right"] - out["after_wrong"]
        if phase in ("tell", "settle"):
            out["mood_gap"] = glad_probability(reader, self.tales[True]) - glad_probability(reader, self.tales[False])
        return out

    def _answered(self, facts: list[Fact]) -> tuple[list[str], list[str]]:
        return (
            [f"{prompt(f)} {f.answer}" for f in facts],
            [f"{prompt(f)} {self.wrong[f.query]}" for f in facts],
        )
