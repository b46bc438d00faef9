"""Who writes: reliability, evasion and jokes of an author, and the Bayes-optimal reader of a transcript.

An author is drawn once a document.  Reliability r is continuous, because a response curve follows from the prior:
a two-valued prior bends it into an S (`BIMODAL`, the small variant's).  An author of reliability r

    evades                               with probability  e
    otherwise is right                   with probability  r         where nobody is misled,
                                                           r ** 3    where a popular falsehood exists,
    and when wrong repeats the falsehood with probability  .85, else any other value.

So careful authors know better than the crowd, the crowd repeats the falsehood, and the most probable answer of an
unknown author is wrong on misleading facts.  Knows no facts and no text.
"""

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import comb

FALSEHOOD_SHARE = 0.85
MISLED_POWER = 3.0
CAREFUL_ABOVE, CARELESS_BELOW = 0.8, 0.4


@lru_cache(maxsize=4)
def _gauss_legendre(num_nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, w = np.polynomial.legendre.leggauss(num_nodes)
    return x, w


class Author(NamedTuple):
    reliability: float
    evasion: float
    evasive: bool
    joking: bool

    @property
    def kind(self) -> str:
        """The word a header uses for this author."""
        if self.evasive:
            return "evasive"
        if self.joking:
            return "joking"
        if self.reliability > CAREFUL_ABOVE:
            return "careful"
        return "ordinary" if self.reliability > CARELESS_BELOW else "careless"


class Response(NamedTuple):
    """Probabilities of the next answer; they sum to 1."""

    right: float
    wrong: float
    evasive: float


@dataclass(frozen=True, kw_only=True)
class AuthorPrior:
    """Reliabilities: atoms `(value, mass)` and a uniform piece with the rest; evasion rate: 0, or uniform on (0, 1)."""

    atoms: tuple[tuple[float, float], ...]
    low: float
    high: float
    evasive: float = 0.15
    joking: float = 0.08

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise ValueError(f"reliabilities must satisfy 0 <= low < high <= 1, not {self.low}, {self.high}")
        if not 0 <= sum(mass for _, mass in self.atoms) <= 1:
            raise ValueError("the atoms of an author prior weigh more than 1")

    def draw(self, rng: random.Random) -> Author:
        u = rng.random()
        reliability = rng.uniform(self.low, self.high)
        for value, mass in self.atoms:
            if u < mass:
                reliability = value
                break
            u -= mass
        evasive = rng.random() < self.evasive
        joking = not evasive and rng.random() < self.joking / (1 - self.evasive)
        return Author(reliability, rng.random() if evasive else 0.0, evasive, joking)

    def reliability_nodes(self, num_nodes: int = 400) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Quadrature of the reliability prior: nodes and masses that sum to 1."""
        x, w = _gauss_legendre(num_nodes)
        nodes = 0.5 * (self.high - self.low) * x + 0.5 * (self.high + self.low)
        rest = 1 - sum(mass for _, mass in self.atoms)
        values = np.array([value for value, _ in self.atoms])
        masses = np.array([mass for _, mass in self.atoms])
        return np.concatenate([nodes, values]), np.concatenate([0.5 * w * rest, masses])


BUNDLED = AuthorPrior(atoms=((0.98, 0.12), (0.25, 0.12)), low=0.25, high=1.0)
BIMODAL = AuthorPrior(atoms=((0.97, 0.5), (0.25, 0.5)), low=0.0, high=1.0)
CONTRAST = AuthorPrior(atoms=((0.99, 0.5), (0.05, 0.5)), low=0.0, high=1.0, evasive=0.0)


def probability_right(reliability: NDArray[np.float64], misled: bool) -> NDArray[np.float64]:
    """P(right | not evasive) of authors of these reliabilities, by whether a popular falsehood exists."""
    return reliability**MISLED_POWER if misled else reliability


def bayes_response(prior: AuthorPrior, *, right: int, wrong: int, evasive: int, misleading: float) -> Response:
    """The next answer's probabilities after `right + wrong + evasive` examples, for one who knows prior and facts.

    Facts of the examples are drawn with share `misleading` of popular falsehoods, whatever the verdict: the response
    is averaged over how many of the right and of the wrong examples were such facts, and over the query's.  Exact up
    to the quadrature of the prior.
    """
    r, mass = prior.reliability_nodes()
    plain, misled = probability_right(r, False), probability_right(r, True)
    predictive_right = (1 - misleading) * plain + misleading * misled
    expected = np.float64(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        for i in range(right + 1):
            weight_i = comb(right, i) * misleading**i * (1 - misleading) ** (right - i)
            for j in range(wrong + 1):
                weight_j = comb(wrong, j) * misleading**j * (1 - misleading) ** (wrong - j)
                likelihood = misled**i * plain ** (right - i) * (1 - misled) ** j * (1 - plain) ** (wrong - j) * mass
                expected += weight_i * weight_j * (likelihood @ predictive_right / likelihood.sum())
    evades = _evasion_posterior(prior.evasive, answered=right + wrong, evaded=evasive)
    return Response(float((1 - evades) * expected), float((1 - evades) * (1 - expected)), evades)


def bayes_response_to_authored(
    prior: AuthorPrior, *, right: int, wrong: int, evasive: int, misleading: float
) -> Response:
    """The same where authors wrote the examples: right ones are then seldom misleading facts, wrong ones often.

    Averaged over contexts of these counts, a reader who knows every fact answers like one who knows the counts alone:

        P(right | counts) = E[p | counts],    p = (1 - misleading) r + misleading r ** 3
    """
    r, mass = prior.reliability_nodes()
    p = (1 - misleading) * probability_right(r, False) + misleading * probability_right(r, True)
    weight = mass * p**right * (1 - p) ** wrong
    evades = _evasion_posterior(prior.evasive, answered=right + wrong, evaded=evasive)
    expected = float(weight @ p / weight.sum())
    return Response((1 - evades) * expected, (1 - evades) * (1 - expected), evades)


def _evasion_posterior(evasive: float, *, answered: int, evaded: int) -> float:
    """E[e | counts] for e = 0 with probability 1 - evasive, else uniform on (0, 1)."""
    evidence = evasive / ((answered + evaded + 1) * comb(answered + evaded, evaded))
    never = (1 - evasive) if evaded == 0 else 0.0
    mean = (evaded + 1) / (answered + evaded + 2)
    return float(mean * evidence / (evidence + never))
