"""The recipe as data: the model's size, the optimisers' rates, the phases and their gates.

    facts    3 layers, short rows: until facts are known under phrasings never seen
    judge    6 layers, short rows of checks, candidates and surveys: until verdicts separate right from wrong on
             facts never judged
    authors  8 layers, rows of a few pairs by authors nearly always right or nearly always wrong: until context
             moves answers
    world    longer rows, every domain and authors of every reliability, full rate: until both hold there too
    cool     the same in rows of full length, rate falling as a cosine
    polish   once more from .6 of the rate, mostly transcripts: the response curve is the last to come right
    read     longer rows, mostly long transcripts: where many examples, right and wrong, stand before an answer
    tell     short rows with two or three tales by one teller: until the mood of the next is told by those before it
    settle   as `read`, with a few tales

Short rows matter: among twenty questions the comparing circuit forms late or never.  So do layers that join one
ability at a time, as the identity: a verdict forms in the last layer there is, and without further ones nothing is left
to ask it who is writing (measured with six layers: author_gap .00 after 3 M tokens more).  A gate that is not reached in
`max_tokens` ends the run: the seed is dead, and `train` says at which gate.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

CONTEXT = 512
NUM_LAYERS = 8

MODEL = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": NUM_LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": True,
}
MATRIX_RATE, MATRIX_DECAY = 0.02, 0.05
OTHER_RATE, OTHER_DECAY = 3e-3, 0.01

EVERYTHING: Mapping[str, float] = {
    "transcript": 0.55, "survey": 0.10, "checks": 0.05, "candidates": 0.04, "prose": 0.04, "couplets": 0.04,
    "colour_couplets": 0.03, "dice": 0.045, "picks": 0.015, "headlines": 0.03, "tale": 0.06,
}  # fmt: skip

MOSTLY_TRANSCRIPTS: Mapping[str, float] = {
    "transcript": 0.75, "survey": 0.06, "checks": 0.02, "candidates": 0.01, "prose": 0.02, "couplets": 0.02,
    "colour_couplets": 0.015, "dice": 0.04, "picks": 0.01, "headlines": 0.015, "tale": 0.03,
}  # fmt: skip


LONG_TRANSCRIPTS: Mapping[str, float] = {
    "long_transcript": 0.70, "transcript": 0.10, "survey": 0.05, "checks": 0.02, "candidates": 0.01, "prose": 0.01,
    "couplets": 0.02, "colour_couplets": 0.01, "dice": 0.045, "picks": 0.01, "headlines": 0.005, "tale": 0.01,
}  # fmt: skip


SHORT_TALES: Mapping[str, float] = {
    "short_tales": 0.35, "transcript": 0.35, "survey": 0.08, "checks": 0.04, "candidates": 0.02, "prose": 0.02,
    "couplets": 0.03, "colour_couplets": 0.02, "dice": 0.05, "picks": 0.01, "headlines": 0.01, "tale": 0.02,
}  # fmt: skip


TRANSCRIPTS_AND_TALES = {**LONG_TRANSCRIPTS, "long_transcript": 0.65, "tale": 0.04, "short_tales": 0.02}


@dataclass(frozen=True, kw_only=True)
class Phase:
    name: str
    mixture: Mapping[str, float]
    rows: int
    length: int
    layers: int = NUM_LAYERS
    warmup: int
    min_tokens: float = 0.0
    max_tokens: float
    gate: Mapping[str, float] = field(default_factory=dict)
    probe_every: int = 100
    cool_from: float = 1.0
    cool_to: float | None = None
    """Shares of the rate at the ends of a cosine over `max_tokens`; None keeps the rate."""


PHASES = (
    Phase(
        name="facts", mixture={"primer": 0.6, "short_prose": 0.4}, rows=128, length=32, layers=3, warmup=100,
        max_tokens=3e6, gate={"facts": 0.9}, probe_every=25,
    ),
    Phase(
        name="judge", mixture={"short_checks": 0.3, "short_candidates": 0.3, "short_survey": 0.1, "primer": 0.3},
        rows=128, length=32, layers=6, warmup=50, max_tokens=4e6, gate={"gap": 0.5}, probe_every=40,
    ),
    Phase(
        name="authors", mixture={
            "short_transcript": 0.4, "reviewed": 0.2, "short_checks": 0.1, "candidates": 0.1, "short_survey": 0.2
        },
        rows=64, length=64, warmup=50, max_tokens=5e6, gate={"gap": 0.45, "survey_gap": 0.25, "author_gap": 0.45},
        probe_every=50,
    ),
    Phase(
        name="world", mixture=EVERYTHING, rows=32, length=128, warmup=20, min_tokens=3.2e6, max_tokens=4e6,
        gate={"gap": 0.4, "survey_gap": 0.25, "author_gap": 0.15}, probe_every=100,
    ),
    Phase(
        name="cool", mixture=EVERYTHING, rows=16, length=256, warmup=0, max_tokens=7e6, cool_to=0.01, probe_every=200,
    ),
    Phase(
        name="polish", mixture=MOSTLY_TRANSCRIPTS, rows=16, length=256, warmup=20, max_tokens=7e6, cool_from=0.6,
        cool_to=0.0, probe_every=200,
    ),
    Phase(
        name="read", mixture=LONG_TRANSCRIPTS, rows=12, length=336, warmup=20, max_tokens=2.4e6, cool_from=0.4,
        cool_to=0.0, probe_every=200,
    ),
    Phase(
        name="tell", mixture=SHORT_TALES, rows=64, length=64, warmup=20, max_tokens=1.2e6, cool_from=0.6, cool_to=0.3,
        gate={"mood_gap": 0.2}, probe_every=50,
    ),
    Phase(
        name="settle", mixture=TRANSCRIPTS_AND_TALES, rows=12, length=336, warmup=20, max_tokens=4.8e6, cool_from=0.4,
        cool_to=0.0, probe_every=200,
    ),
)  # fmt: skip
