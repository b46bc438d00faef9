"""What is held out is held out, read off the text of a million generated tokens and not off the generator's flags.

Evaluation is recognised by its words: the survey's question, or a verdict after an answer.
"""

import random
import re
from collections import Counter

import pytest

from world import words
from world.authors import BUNDLED
from world.corpus import BUILDERS, Corpus
from world.facts import World
from world.items import articles, rhymes
from world.tokenizer import split

TOKENS = 1_000_000
QUESTIONS = [
    re.compile(re.escape(q).replace(r"\{attribute\}", r"(?P<attribute>\w+)").replace(r"\{entity\}", r"(?P<entity>\w+)"))
    for q in words.QUESTIONS
]
VERDICT = re.compile(r"(?P<verdict>Yes|No)(, it is (?P<correction>\w+))?")
REMARK = re.compile(r"A:( \w+ (yes|no),?)+(, it is \w+|)|A: There is no one answer\. no, it is \w+")


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def texts(world):
    """Documents of every kind in turn, a million tokens of them."""
    rng, corpus, found, total = random.Random("holdouts"), Corpus(world, BUNDLED), [], 0
    while total < TOKENS:
        for kind in BUILDERS:
            found.append(corpus.document(kind, rng).text)
            total += len(split(found[-1])) + 1
    return found


@pytest.fixture(scope="module")
def gold(world):
    return {(fact.entity, fact.attribute): fact for fact in world.facts}


def evaluates(text: str) -> bool:
    """Whether a document judges anything."""
    return words.SURVEY_QUESTION in text or any(
        VERDICT.fullmatch(line) or REMARK.fullmatch(line) for line in text.splitlines()
    )


def asked(line: str) -> tuple[str, str, int]:
    """Entity, attribute and phrasing of a question line."""
    for phrasing, pattern in enumerate(QUESTIONS):
        match = pattern.fullmatch(line.removeprefix("Q: "))
        if match:
            return match["entity"], match["attribute"], phrasing
    raise AssertionError(f"not a question of this world: {line!r}")


def test_the_holdout_is_as_large_as_promised(world):
    unjudged = {(fact.entity, fact.attribute) for fact in world.unjudged}
    entities = {entity for entity in world.entities if all((entity, a) in unjudged for a in words.ATTRIBUTES)}
    assert len(entities) >= len(world.entities) / 3
    assert all((entity, words.UNJUDGED_ATTRIBUTE) in unjudged for entity in world.entities)
    assert len(unjudged) >= 1000


def test_no_held_out_fact_or_scale_word_is_in_an_evaluation_document(world, texts):
    held_entities = {e for i, e in enumerate(world.entities) if i % 5 >= 2}
    held_words = {*held_entities, words.UNJUDGED_ATTRIBUTE, *words.UNJUDGED_SCALE}
    judging = [text for text in texts if evaluates(text)]
    assert len(judging) > 5000
    for text in judging:
        assert not held_words & set(re.findall(r"\w+", text)), text


def test_every_evaluable_fact_is_evaluated(world, texts):
    """The holdout is no accident of sparse documents: what may be judged is judged."""
    seen = {asked(line)[:2] for text in texts if evaluates(text) for line in text.splitlines() if line.startswith("Q:")}
    assert seen == {(fact.entity, fact.attribute) for fact in world.judged}


def test_no_document_uses_a_held_out_phrasing(texts, gold):
    for text in texts:
        for line in text.splitlines():
            if line.startswith("Q:"):
                entity, attribute, phrasing = asked(line)
                if (entity, attribute) in gold:
                    assert phrasing != gold[entity, attribute].held_phrasing, line


def test_verdicts_tell_the_truth(texts, gold):
    """A candidate is judged yes if and only if it is the answer: a wrong answer is never the truth by accident."""
    verdicts: Counter[str] = Counter()

    def judge(fact, text, given, word, correction):
        assert (given == fact.answer) == (word == "yes"), text
        assert correction in (None, fact.answer), text
        verdicts[word] += 1

    for text in texts:
        fact, given = None, ""
        for line in text.splitlines():
            match = VERDICT.fullmatch(line)
            if line.startswith("Q:"):
                fact = gold.get(asked(line)[:2])
            elif line.startswith("A:"):
                given = line.removeprefix("A: ")
                if REMARK.fullmatch(line):
                    assert fact is not None
                    for part in given.split(", "):
                        answer, _, word = part.rpartition(" ")
                        if answer == "it is":
                            assert word == fact.answer, text
                        else:
                            judge(fact, text, answer, word, None)
            elif match:
                assert fact is not None
                judge(fact, text, given, match["verdict"].lower(), match["correction"])
    assert min(verdicts.values()) > 1000


def test_no_value_of_the_unjudged_attribute_is_ever_judged(world, texts):
    judged = {value for fact in world.judged for value in world.values[fact.attribute]}
    ports = set(world.values[words.UNJUDGED_ATTRIBUTE])
    assert not judged & ports
    for text in texts:
        if evaluates(text):
            assert not ports & set(re.findall(r"\w+", text)), text


def test_wrong_answers_and_falsehoods_are_wrong_values_of_the_attribute(world):
    rng = random.Random("wrong")
    for fact in world.facts:
        drawn = {world.wrong_answer(rng, fact, falsehood_share=0.5) for _ in range(20)}
        assert fact.answer not in drawn
        assert drawn <= set(world.values[fact.attribute])
        assert fact.falsehood is None or (fact.falsehood != fact.answer and fact.falsehood in drawn)


def test_ratings_follow_the_truth(texts, gold):
    """Raters use the upper words far more often for right answers: 72 % against 12 %, within 5 standard errors."""
    upper: Counter[bool] = Counter()
    total: Counter[bool] = Counter()
    for text in texts:
        lines = text.splitlines()
        for question, answer, line in zip(lines, lines[1:], lines[2:], strict=False):
            if line.startswith(words.SURVEY_QUESTION):
                fact = gold[asked(question)[:2]]
                right = fact.answer == answer.removeprefix("A: ")
                total[right] += 1
                upper[right] += line.removeprefix(f"{words.SURVEY_QUESTION} ") in words.STANDARD_SCALE[3:]
    for right, rate in ((True, 0.72), (False, 0.12)):
        assert abs(upper[right] / total[right] - rate) < 5 * (rate * (1 - rate) / total[right]) ** 0.5


def test_couplets_keep_their_holdouts(texts):
    """Held pairs never meet in a couplet, shy nouns never follow an article, held colour lines never occur."""
    joined = "\n".join(texts)
    for item in articles():
        noun = item["noun"].strip()
        if item["seen"] == "never after an article":
            assert not re.search(rf"\ban? {noun}\b", joined)
        elif item["seen"] == "never paired":
            assert item["prompt"] not in joined
        else:
            assert f"{item['prompt']}{item['article']}{item['noun']}" in joined
    for item in rhymes():
        assert (item["prompt"] in joined) == item["seen"]
