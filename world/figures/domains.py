"""The small domains: nonsense, articles, rhymes, dice, headlines, tales, and the loss of every kind of document.

Exact where the truth is exact: dice and picks by KL from the true probabilities, headlines from the exact posterior.
"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world import couplets, dice, headlines, items, tales, words
from world.authors import BUNDLED
from world.contexts import prompt
from world.corpus import BUILDERS, Corpus
from world.figures.bench import Bench
from world.read import Reader
from world.statistics import mean, share
from world.transcripts import answer


def nonsense(bench: Bench) -> dict[str, Any]:
    """P(the joke): on nonsense without and after one example, on sensible questions without and after one."""
    rng = bench.rng("nonsense")
    joke = bench.reader.codec.encode_piece(f" {words.NONSENSE_ANSWER}")[0]
    silly = [rng.choice(bench.world.nonsense) for _ in range(bench.num)]
    sensible = bench.queries(rng, bench.world.unjudged)
    shown = [rng.choice(bench.world.nonsense) for _ in range(bench.num)]
    example = [f"Q: {fact.ask(rng)}\nA: {words.NONSENSE_ANSWER}\n" for fact in shown]
    found = {}
    for name, facts in (("nonsense", silly), ("sensible", sensible)):
        for when, contexts in (("no example", [""] * bench.num), ("one example", example)):
            texts = [c + prompt(f) for c, f in zip(contexts, facts, strict=True)]
            found[f"{name}, {when}"] = mean(bench.reader.next_token(texts)[:, joke]).rounded()
    return found


def _with_context(rng: random.Random, build: Callable[[random.Random], Any]) -> str:
    """Up to two documents of the kind in front, as in training rows, without a <bos> between."""
    return "".join(build(rng).text for _ in range(rng.randrange(3)))


def articles(bench: Bench) -> dict[str, Any]:
    """P(right article) among the two, and the share chosen right, by whether training has the couplet."""
    rng = bench.rng("articles")
    every = list(items.articles())
    found = {}
    for seen in ("couplet", "never paired", "never after an article"):
        drawn = rng.choices([item for item in every if item["seen"] == seen], k=bench.num)
        p = bench.reader.continuations(
            [_with_context(rng, couplets.couplets) + item["prompt"] for item in drawn], [" a", " an"]
        )
        right = np.array([item["article"] == " an" for item in drawn], dtype=int)
        chosen = p[np.arange(len(drawn)), right] / p.sum(1)
        texts = [item["prompt"] + item["article"] for item in drawn]
        nouns = bench.reader.next_token(texts)
        noun_ids = [bench.reader.codec.encode_piece(item["noun"])[0] for item in drawn]
        found[seen] = {
            "probability": mean(chosen).rounded(),
            "right": share(chosen > 0.5).rounded(),
            "noun after the right article": mean(nouns[np.arange(len(drawn)), noun_ids]).rounded(),
        }
    return found


def rhymes(bench: Bench) -> dict[str, Any]:
    """P(the word the writer chose) at the end of a colour couplet, by whether everyday colour rhymes, and seen."""
    rng = bench.rng("rhymes")
    every = list(items.rhymes())
    other = [item for item in every if not item["everyday_rhymes"]]
    groups = {
        "everyday rhymes": [item for item in every if item["everyday_rhymes"]],
        "another word, seen": [item for item in other if item["seen"]],
        "another word, unseen": [item for item in other if not item["seen"]],
    }
    found = {}
    for name, group in groups.items():
        drawn = rng.choices(group, k=bench.num)
        p = bench.reader.next_token([_with_context(rng, couplets.colour_couplets) + item["prompt"] for item in drawn])
        rows = np.arange(len(drawn))
        token = bench.reader.codec.encode_piece
        found[name] = {
            "chosen": mean(p[rows, [token(item["answer"])[0] for item in drawn]]).rounded(),
            "everyday": mean(p[rows, [token(item["everyday"])[0] for item in drawn]]).rounded(),
        }
    return found


def kl(truth: NDArray[np.float64], model: NDArray[np.float64]) -> NDArray[np.float64]:
    """KL(truth || model) of each row, in nats; the model's mass elsewhere counts against it."""
    return np.asarray((truth * np.log(truth / model)).sum(-1), dtype=np.float64)


def dice_and_picks(bench: Bench) -> dict[str, Any]:
    """KL from the exact probabilities after 0 to 7 earlier rolls."""
    found = {}
    uniform = np.full(6, 1 / 6)
    picked = np.array(dice.PICK_WEIGHTS) / sum(dice.PICK_WEIGHTS)
    framings = (
        ("plain", dice.PLAIN, " ", uniform),
        ("framed", dice.FRAMED, "", uniform),
        ("picks", dice.PICK, " ", picked),
    )
    for name, lead, space, truth in framings:
        rng = bench.rng(f"dice/{name}")
        longest = 5 if name == "picks" else 7
        texts = []
        for _ in range(bench.num):
            rolls = rng.choices(dice.FACES, truth.tolist(), k=rng.randrange(longest + 1))
            texts.append("".join(f"{lead}{space}{roll}\n" for roll in rolls) + lead)
        faces = [bench.reader.codec.encode_piece(space + face)[0] for face in dice.FACES]
        p = bench.reader.next_token(texts)[:, faces]
        found[name] = {
            "kl": mean(kl(truth, p)).rounded(),
            "largest": round(float(kl(truth, p).max()), 5),
            "no context": round(float(kl(truth, bench.reader.next_token([lead])[:, faces])[0]), 5),
        }
    return found


def sections_and_tales(bench: Bench) -> dict[str, Any]:
    """Headlines: KL from the exact posterior of the section; tales: P(the level counted), in both scales."""
    rng = bench.rng("sections")
    names = list(words.SECTIONS)
    lines = [headlines.headline(rng, rng.choice(names)) for _ in range(bench.num)]
    truth = np.array([[headlines.section_posterior(line)[name] for name in names] for line in lines])
    token = bench.reader.codec.encode_piece
    p = bench.reader.next_token([f"Headline: {line}. Section:" for line in lines])
    p = p[:, [token(f" {name}")[0] for name in names]]
    found: dict[str, Any] = {
        "headlines": {
            "kl": mean(kl(truth, p)).rounded(),
            "agrees": share(p.argmax(1) == truth.argmax(1)).rounded(),
        }
    }
    for name, scale in (("standard", words.STANDARD_SCALE), ("unjudged", words.UNJUDGED_SCALE)):
        texts: list[str] = []
        levels: list[int] = []
        while len(texts) < bench.num:
            pieces = tales.tale(rng).pieces
            word = pieces[-2].text[1:]
            if word in scale:
                texts.append("".join(piece.text for piece in pieces[:-2]))
                levels.append(scale.index(word))
        mass = bench.reader.continuations(texts, [f" {word}" for word in scale])
        level = mass[np.arange(len(texts)), levels] / mass.sum(1)
        found[f"tales, {name} scale"] = {
            "probability": mean(level).rounded(),
            "right": share(mass.argmax(1) == np.array(levels)).rounded(),
        }
    return found


def losses(bench: Bench) -> dict[str, Any]:
    """Nats a token of every kind of document: of all its tokens, and of those the document is about."""
    found = {}
    corpus = Corpus(bench.world)
    for kind in BUILDERS:
        rng = bench.rng(f"loss/{kind}")
        rows, weights = [], []
        for _ in range(bench.num):
            ids, weight = [bench.reader.codec.bos], [0.0]
            for text, value in corpus.document(kind, rng).pieces:
                piece = bench.reader.codec.encode_piece(text)
                ids += piece
                weight += [value] * len(piece)
            rows.append(ids[:512])
            weights.append(np.array(weight[1:512]))
        loss = token_losses(bench.reader, rows)
        claims = [part[weight >= 0.5] for part, weight in zip(loss, weights, strict=True)]
        found[kind] = {"all": mean(np.concatenate(loss)).rounded(), "claims": mean(np.concatenate(claims)).rounded()}
    return found


def token_losses(reader: Reader, rows: list[list[int]]) -> list[NDArray[np.float64]]:
    """Minus log-probability of every token after the first, row by row."""
    found = []
    for start in range(0, len(rows), 64):
        part = rows[start : start + 64]
        for row, logp in zip(part, reader.log_probabilities(part, [range(len(r) - 1) for r in part]), strict=True):
            found.append(-logp[range(len(row) - 1), row[1:]].double().numpy())
    return found


def author_readout(bench: Bench, num_pairs: int = 8) -> dict[str, Any]:
    """Which author wrote this: P(header | transcript) by Bayes from the model's own P(transcript | header).

    `right` is the share of transcripts whose true kind is most probable, `probability` the mass on the true kind;
    `prior` is what guessing the most frequent kind reaches.
    """
    rng = bench.rng("readout")
    kinds = list(words.HEADERS)
    drawn = [BUNDLED.draw(rng) for _ in range(bench.num)]
    prior_rng = bench.rng("readout prior")
    many = [BUNDLED.draw(prior_rng).kind for _ in range(20_000)]
    counts = np.array([many.count(kind) for kind in kinds]) / len(many)
    texts = []
    for author in drawn:
        lines = []
        for _ in range(num_pairs):
            fact = rng.choice(bench.world.facts)
            lines.append(f"Q: {fact.ask(rng)}\nA: {answer(rng, bench.world, fact, author)}\n")
        texts.append("".join(lines))
    score = np.empty((bench.num, len(kinds)))
    for j, kind in enumerate(kinds):
        head = bench.reader.codec.encode(words.HEADERS[kind])
        rows = [head + list(bench.reader.codec.encode_piece(text)) for text in texts]
        score[:, j] = [-loss[len(head) - 1 :].sum() for loss in token_losses(bench.reader, rows)]
    weight = np.exp(score - score.max(1, keepdims=True)) * counts
    posterior = weight / weight.sum(1, keepdims=True)
    true = np.array([kinds.index(author.kind) for author in drawn])
    return {
        "right": share(posterior.argmax(1) == true).rounded(),
        "probability": mean(posterior[np.arange(bench.num), true]).rounded(),
        "prior": round(float(counts.max()), 4),
    }
