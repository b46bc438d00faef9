"""The card as Markdown, from card.json alone.  Knows no model."""

from collections.abc import Iterable
from typing import Any

Figures = dict[str, Any]
OWN = ("survey", "survey, ports", "survey, no ports", "survey, unjudged scale", "check", "survey with evasions")

AGAIN = """
## Making it again

    make model SEED=k                                  train, export, measure: runs/world-k (resumes where it stopped)
    python -m world.publish --run runs/world-k         put its models and logs into the package
    python -m world.bimodal --out runs/bimodal         the variant with two kinds of authors, from the shipped weights
    python -m world.card                               measure the committed weights anew, write this card

A run keeps a checkpoint a million tokens and one at the end of each phase in `runs/world-k/checkpoints` (bfloat16
safetensors, 2.8 MB each, not in the wheel); they load into the shipped configuration. Batches depend on
seed, phase and step alone, so a stopped run goes on as if it had not stopped.

## What was tried on the way

Trials of other recipes, seed 0 each; the gap is mean P(yes | right) − P(yes | wrong).

| trial | finding |
|---|---|
| five attributes, each with values of its own | held-out entities: gap .63; the held-out attribute: .01 |
| it shares the values of one judged attribute | .67 and .03: entity and value decide, the question is not read |
| two lists of values for five attributes | .57 and .19 and rising |
| two lists for eight attributes (kept) | .60 over both; AUC .90 in phase `judge`, more after cooling |
| six layers, all used for judging | verdicts form in the sixth; contexts move answers only after 3 M tokens more |
| layers 2, 4, 6 instead of 3, 6, 8 | verdicts reach judged facts (gap .79), hardly others (.36): dead after 4 M tokens |
| verdicts on a line of their own from the start | no gap after 1.5 M tokens, so short rows use remarks behind the answer |
| the recipe with reliabilities from .1, a falsehood power of 3, 1,491 judged facts | curve within .134, AUC .9988 |
| the recipe before `polish` (n = 500) | curve within .112, 16 wrong .696, AUC .998 |
| it with `polish`, falsehood power 4 (shipped first) | curve within .102, AUC .9996 |
| 3.5 % of facts where nearly everybody is mistaken, an atom of reliability .25, power 3 | curve within .098, AUC .984 |
| and the phase `read`: long transcripts in longer rows (shipped before) | curve within .069, AUC .989 |
| no mistaken facts, but raters who take popular falsehoods about two attributes for right (cut off at `authors`) | \
falsehoods score .48 on judged facts (others .19), .27 on unjudged ones (others .26): learnt one by one |
| no mistaken facts; ports with values of their own, never judged | ports AUC .51, others .993; but tales in the \
context do not move the mood of the next (gladness .51 after glad ones, .51 after sad ones; .63 and .32 in the run before) |
| it with a phase of many tales a row, 15 % of its tokens | .51 and .51 after .9 M tokens: cut off |
| instead with `tell`, two or three tales a row, then `settle` of 2.4 M tokens | .80 and .18; curve within .0816 |
| `settle` of 4.8 M tokens (kept) | the bars above |
| the bimodal variant, from `authors` on with 4 M tokens of transcripts (shipped before) | within .36 of its Bayes line |
| it from the finished weights, with 6 M tokens of mostly long transcripts (kept) | within .20 |
| torch's fused attention on this CPU | 13 thousand tokens a second against 20 thousand by plain products |

## Known limits

Where an attribute's values were judged of any entity the evaluator hardly errs: when ports were named like other towns its
AUC on own answers was .9996, and judging 896 facts instead of 1,491, or giving evaluation .09 of the tokens instead of
.32, did not lower it. So its errors are on ports, a fifth of what is asked. Facts about which nearly everybody was
mistaken, authors too, lowered the AUC as well, but were a floor for everything that selects: the loop could then not
get below best-of-n. In all-wrong contexts P(right) stays a little above the Bayes line, and evenly mixed ones are
read a little too darkly. The bimodal variant turns where Bayes does, between 10 and 6 right ones of 16, and lies on
the line at both ends; on its way down it is off by up to .20. Nouns that never followed an article get the wrong one as
often as the right one, though their first letter is told.

Everything is synthetic and one-token: answers are single words of a closed vocabulary. Evaluation is by raters who
know the facts; only its reach to facts they never judged is the model's own. Phrasings are six templates; a stranger's
own words are read, character by character, but mean nothing to the model.
"""


def render(card: Figures) -> str:
    """The whole card."""
    found = card["figures"]
    sections = [
        _opening(card),
        _bars(card["bars"]),
        _contexts(found),
        _curve(found),
        _evaluation(found),
        _domains(found),
        _masked(found),
        _losses(found["loss"]),
        _bimodal(card["bimodal_variant"]),
        _seeds(card["seeds"]),
        AGAIN,
    ]
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def number(estimate: Figures, digits: int = 3) -> str:
    """Value and 95 % interval."""
    value, low, high = (_plain(estimate[key], digits) for key in ("value", "low", "high"))
    return f"{value} ({low}–{high})"


def _plain(value: float, digits: int) -> str:
    text = f"{round(value, digits) + 0.0:.{digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _opening(card: Figures) -> str:
    hashes = "\n".join(f"    {value}  {name}" for name, value in card["sha256"].items())
    return f"""
# The bundled model

A small language model (Llama architecture, 8 layers of 128, 1.4 M parameters, float32) and a masked model (ModernBERT
architecture, same corpus and tokenizer), trained from scratch on a synthetic world whose truth is known. Documents of
that world are written by authors of differing reliability; many authors repeat popular falsehoods; well-informed
raters judge some of the facts, and never a port. So the model must infer from its context which author it is in, its
most probable answer without context is often a popular falsehood, and it can judge facts that it was never taught to
judge, with a blind spot where nothing like the answer was ever judged. It knows nothing of the real world: a test
object, not an assistant.

World seed {card["world_seed"]}, training seed {card["training_seed"]}. SHA-256 of the weights:

{hashes}

Unless a line says otherwise, figures are over facts that no survey, check or candidate document of the training ever
mentions (three fifths of the entities, and one whole attribute), each asked in a phrasing that no document
contains, with contexts drawn anew. In brackets: 95 % intervals. Made by `python -m world.card` from the committed
weights. *Error* is 1 − P(right); an evasion ("There is no one answer.") is an abstention, counted apart as *evasive*
though it is not right either.
"""


def _bars(rows: list[Figures]) -> str:
    lines = []
    for bar in rows:
        wanted = f"≥ {bar['least']:g}" if bar["most"] >= 1 else f"≤ {bar['most']:g}"
        if bar["least"] > 0 and bar["most"] < 1:
            wanted = f"{bar['least']:g} to {bar['most']:g}"
        lines.append((bar["name"], f"{bar['value']:.4f}", wanted, "yes" if bar["reached"] else "**no**"))
    return "## What was required\n\n" + table(("figure", "measured", "required", "reached"), lines)


def _contexts(found: Figures) -> str:
    parts = ["## Error by context"]
    for name, title in (
        ("contexts", "Facts never judged in training"),
        ("contexts, judged facts", "Facts judged in training"),
    ):
        rows = [
            (context, number(row["error"]), number(row["greedy_error"]), number(row["evasive"]))
            for context, row in found[name].items()
        ]
        parts.append(f"{title} (n = {found[name]['none']['error']['n']:,} a row):")
        parts.append(table(("context", "error, temperature 1", "greedy error", "P(evasive)"), rows))
    return "\n\n".join(parts)


def _authored_curve(rows: list[Figures] | None) -> str:
    """The curve over contexts as training has them, where it was measured."""
    if rows is None:
        return ""
    lines = [
        (
            f"{row['examples'][1] / 16:.3f}",
            number(row["right"]),
            _plain(row["bayes"][0], 3),
            _plain(row["right"]["value"] - row["bayes"][0], 3),
        )
        for row in rows
    ]
    return f"""
The same where one author of the prior wrote the examples: right ones are then seldom about misleading facts and wrong
ones often, as in training (n = {rows[0]["right"]["n"]:,} a point).

{table(("share wrong", "P(right)", "Bayes", "difference"), lines)}
"""


def _curve(found: Figures) -> str:
    edge = [
        (
            f"{row['examples'][1] / 16:.3f}",
            number(row["right"]),
            _plain(row["bayes"][0], 3),
            _plain(row["right"]["value"] - row["bayes"][0], 3),
            number(row["evasive"]),
        )
        for row in found["response curve"]
    ]
    triangle = [
        (
            "/".join(map(str, row["examples"])),
            *(_plain(row[kind]["value"], 3) for kind in ("right", "wrong", "evasive")),
            " / ".join(_plain(p, 3) for p in row["bayes"]),
        )
        for row in found["response triangle"]
    ]
    return f"""## The response curve

P(right) after 16 examples of which a share is wrong, beside what a Bayes-optimal reader answers who knows the prior
over authors and the facts (`world.authors.bayes_response`). Verdicts are dealt to
facts at random, misleading or not, which no one author would do (n = {found["response curve"][0]["right"]["n"]:,} a point).

{table(("share wrong", "P(right)", "Bayes", "difference", "P(evasive)"), edge)}

{_authored_curve(found.get("response curve, as authors write"))}
On the triangle (examples right/wrong/evasive, 16 in all; n = {found["response triangle"][0]["right"]["n"]:,} a point):

{table(("examples", "right", "wrong", "evasive", "Bayes: right / wrong / evasive"), triangle)}"""


def _evaluation(found: Figures) -> str:
    rows = []
    for pool in ("never judged", "judged"):
        own, given = found[f"own answers, {pool}"], found[f"given answers, {pool}"]
        for name in (name for name in OWN if name in own):
            rows.append((f"own answers, facts {pool}", name, *_separation(own[name])))
        for name in ("survey", "check"):
            rows.append((f"one right, one wrong answer, facts {pool}", name, *_separation(given[name])))
    own = found["own answers, never judged"]
    bins = [
        (_plain(row["believed"], 3), number(row["true"]), str(row["true"]["n"])) for row in own["calibration"]["bins"]
    ]
    return f"""## Evaluation

The survey's score is upper mass over upper and lower mass of the scale's words; a check's is P(yes) among yes and no.
Own answers are drawn at temperature 1 without context (error {number(own["error"])}; {number(own["evasions"])}
evasions, left out but in "survey with evasions"). s and f: mean score of right and of wrong answers, which is how often
they are accepted when the score is taken as a probability. The *unjudged scale* occurs in tales, never in evaluation.

{table(("answers", "evaluator", "AUC", "s", "f", "n"), rows)}

Calibration on own answers, facts never judged: raters say what they believe and use the words with known rates, so a
score can be read as a belief. Mean gap {own["calibration"]["mean_gap"]:.3f}, n = {own["calibration"]["n"]:,}.

{table(("believed P(right)", "share right", "n"), bins)}"""


def _separation(row: Figures) -> tuple[str, str, str, str]:
    return number(row["auc"]), number(row["s"]), number(row["f"]), f"{row['auc']['n']:,}"


def _domains(found: Figures) -> str:
    nonsense = [(name, number(value, 4)) for name, value in found["nonsense"].items()]
    articles = [
        (name, number(row["right"], 4), number(row["probability"], 4), number(row["noun after the right article"]))
        for name, row in found["articles"].items()
    ]
    rhymes = [(name, number(row["chosen"]), number(row["everyday"])) for name, row in found["rhymes"].items()]
    dice = [
        (name, number(row["kl"], 5), f"{row['largest']:.5f}", f"{row['no context']:.5f}")
        for name, row in found["dice"].items()
    ]
    other, readout = found["sections and tales"], found["author read-out"]
    tales = [
        (name, number(row["right"]), number(row["probability"]))
        for name, row in other.items()
        if name.startswith("tales")
    ]
    num = found["nonsense"]["nonsense, no example"]["n"]
    return f"""## Small domains (n = {num:,} a line)

**Nonsense** ("What is the capital of Tuesday?"): P("Yo be real.").

{table(("question", "P(the joke)"), nonsense)}

**Articles**: which of "a" and "an" before a noun that must rhyme. Items in `articles.jsonl`.

{table(("couplet in training", "right article chosen", "P(right article)", "P(noun) after it"), articles)}

**Colour couplets**: the line must rhyme, the everyday colour often does not. Items in `rhymes.jsonl`.

{table(("item", "P(the word the writer chose)", "P(everyday colour)"), rhymes)}

**Dice and picks**: KL from the exact probabilities, nats, after 0 to 7 rolls: mean, largest, and without context.

{table(("framing", "mean", "largest", "no context"), dice)}

**Headlines**: KL of the section from its exact posterior {number(other["headlines"]["kl"], 4)} nats; most probable section
agrees in {number(other["headlines"]["agrees"])}. **Tales**: the level of happiness, which can be counted.

{table(("scale", "right", "P(right level)"), tales)}

**Author read-out**: P(header | 8 pairs) by Bayes from the model's own P(pairs | header): the true kind of author is most
probable in {number(readout["right"])}, mean mass on it {number(readout["probability"])}; guessing the most frequent kind
reaches {readout["prior"]:.3f}."""


def _masked(found: Figures) -> str:
    rows = [(name, number(value), f"{value['n']:,}") for name, value in found.get("masked", {}).items()]
    return "## The masked model\n\nShare of hidden tokens filled in right.\n\n" + table(
        ("hidden", "accuracy", "n"), rows
    )


def _losses(losses: Figures) -> str:
    rows = [
        (name, number(row["all"]), f"{row['all']['n']:,}", number(row["claims"]), f"{row['claims']['n']:,}")
        for name, row in losses.items()
    ]
    head = ("document", "all tokens", "n", "what it is about", "n")
    return f"""## Loss by kind of document

Nats a token over fresh documents: of all tokens (questions are barely trained on), and of answers, ratings, verdicts
and the like alone.

{table(head, rows)}"""


def _bimodal(variant: Figures | None) -> str:
    if variant is None:
        return ""
    rows = [
        (
            f"{dealt['examples'][1] / 16:.3f}",
            number(dealt["right"]),
            _plain(dealt["bayes"][0], 3),
            number(authored["right"]),
            _plain(authored["bayes"][0], 3),
            _plain(dealt["bundled_bayes"], 3),
        )
        for dealt, authored in zip(variant["curve"], variant["authored"], strict=True)
    ]
    head = (
        "share wrong",
        "P(right), verdicts dealt",
        "Bayes",
        "P(right), one author",
        "Bayes",
        "Bayes, bundled prior, verdicts dealt",
    )
    return f"""## The bimodal variant (not shipped)

{variant["note"]}

{table(head, rows)}"""


def _seeds(outcomes: list[Figures]) -> str:
    rows = [
        (str(row["seed"]), f"{row.get('tokens', 0) / 1e6:.1f}", str(row.get("minutes", "")), row["outcome"])
        for row in outcomes
    ]
    return f"""## Seeds tried

Every seed run with the committed recipe (`make model SEED=k`), shipped or not; logs in `docs/bundled_model_logs/`.
Minutes are of the causal model's training on one core; the masked model took 6 to 10 more, the figures 11 to 26. Seed 1
ran beside benchmarks and tests on a slower machine than seed 0's (first phase, other core idle: 19 thousand tokens a second
against 34), and before that on another, for 80 minutes: the same tokens in every phase, and the same measurements to the
last digit wherever the same was measured. Of seed 0 the phases `tell` and `settle` were added behind the others when they
were done, and run from their end, as a resumed run does: batches depend on seed, phase and step alone.

{table(("seed", "M tokens", "minutes", "outcome"), rows)}"""
