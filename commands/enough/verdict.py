"""From scores to shares of defects found, and from these to a verdict in words."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int

from commands.enough.curve import Curve, Repetition
from stages.core.io.thresholds import conformal_threshold
from stages.split.rotation import rotates

RESAMPLES = 400  # of the pictures held out
BOTH_SIDES_5 = 1.645  # standard errors of a 90 % interval
HARDLY = 0.03  # a gain that may be at most so large is not worth twice as many pictures
Answer = Literal["will help", "will hardly help", "not clear"]


@dataclass(frozen=True)
class Row:
    """One number of pictures to learn from; all shares from 0 to 1.

    Attributes:
        pictures: in the memory bank.
        found: share of synthetic defects above the threshold, mean over the repetitions.
        half_range: of the repetitions; None for a single one.
        validation: normal pictures that the split holds out for the threshold with so many: those it sets aside for
            validation, and where validation rotates those to learn from as well.
        attainable_false_alarm_rate: what these can keep false alarms to; None without any.
    """

    pictures: int
    found: float
    half_range: float | None
    validation: int
    attainable_false_alarm_rate: float | None


@dataclass(frozen=True)
class Gain:
    """What the last doubling of the pictures gained, in shares of the defects, with its 90 % interval."""

    few: int
    many: int
    found: float
    low: float
    high: float

    @property
    def answer(self) -> Answer:
        """Say whether still more pictures are worth it."""
        if self.high < HARDLY:
            return "will hardly help"
        return "will help" if self.low > 0 else "not clear"


def tabulate(curve: Curve, *, budget: float, training: int, validation: int, rotate_up_to: int) -> list[Row]:
    """Return a row for each number of pictures.

    Args:
        curve: scores of pictures that were held out, the same ones in each repetition.
        budget: share of false alarms at whose threshold defects count as found.
        training, validation: pictures of the split, whose proportion holds for each row.
        rotate_up_to: see `stages.split.sources.SplitParams`.
    """
    rows = []
    for pictures, repetitions in curve.items():
        shares = [found_at(one, budget=budget) for one in repetitions]
        spread = (max(shares) - min(shares)) / 2 if len(shares) > 1 else None
        aside = (2 * pictures * validation + training) // max(2 * training, 1)
        aside += pictures * rotates(pictures, aside, up_to=rotate_up_to)
        rows.append(Row(pictures, statistics.mean(shares), spread, aside, attainable(aside, budget=budget)))
    return rows


def attainable(validation: int, *, budget: float) -> float | None:
    """Return the rate of false alarms that so many normal validation pictures allow; None without any."""
    return conformal_threshold(np.zeros(validation), budget=budget).attainable_false_alarm_rate if validation else None


def found_at(scores: Repetition, *, budget: float) -> float:
    """Return the share of synthetic defects above the threshold of the normal pictures."""
    return float((scores.defect > conformal_threshold(scores.normal, budget=budget).value).mean())


def last_gain(curve: Curve, *, budget: float, seed: int) -> Gain:
    """Compare all pictures with the number before.

    The interval holds what other pictures to judge (bootstrap, each with its defects) and other pictures to learn from
    (the repetitions) would have changed; the former are the same for both numbers.

    Args:
        curve: two numbers of pictures at least.
        budget: see `tabulate`.
        seed: of the resamples.
    """
    few, many = list(curve)[-2:]
    random = np.random.default_rng(seed)
    resamples = random.integers(len(curve[many][0].normal), size=(RESAMPLES, len(curve[many][0].normal)))
    means, variance = {}, 0.0
    shares = {size: [found_at(one, budget=budget) for one in curve[size]] for size in (few, many)}
    for size in (few, many):
        means[size] = np.mean([found_again(one, resamples, budget=budget) for one in curve[size]], axis=0)
        if len(shares[size]) > 1:
            variance += statistics.variance(shares[size]) / len(shares[size])
    gain = statistics.mean(shares[many]) - statistics.mean(shares[few])
    error = BOTH_SIDES_5 * math.sqrt(float(np.var(means[many] - means[few])) + variance)
    return Gain(few, many, gain, gain - error, gain + error)


def found_again(scores: Repetition, resamples: Int[np.ndarray, "R H"], *, budget: float) -> Float64[np.ndarray, " R"]:
    """Return `found_at` of each resample of the pictures."""
    chosen = (Repetition(scores.normal[rows], scores.defect[rows]) for rows in resamples)
    return np.array([found_at(one, budget=budget) for one in chosen])


def in_words(
    rows: Sequence[Row], gain: Gain, *, budget: float, training: int, validation: int, rotate_up_to: int
) -> list[str]:
    """Return the verdict: whether more pictures help to find defects, and what they do to false alarms."""
    found = {row.pictures: f"{100 * row.found:.0f} %" for row in rows}
    measured = (
        f"With {gain.few} pictures {found[gain.few]} of the synthetic defects are found, with {gain.many} "
        f"{found[gain.many]}"
    )
    interval = f"{100 * gain.low:+.0f} to {100 * gain.high:+.0f} points"
    sentences = {
        "will help": f"{measured}: more pictures will still help.",
        "will hardly help": f"{measured}: more pictures will hardly help.",
        "not clear": f"{measured}: whether more pictures will help is not clear, the difference may be {interval}.",
    }
    turns = rotates(training, validation, up_to=rotate_up_to)
    held_out = validation + training * turns
    needed, rate = math.ceil(1 / budget - 1e-9) - 1, attainable(held_out, budget=budget)
    about = "about " if turns else ""
    if rate is not None and held_out >= needed:
        in_turns = ", as all pictures to learn from are held out in turns" if turns else ""
        return [sentences[gain.answer], f"False alarms can be kept to {about}{100 * budget:g} %{in_turns}."]
    kept = "cannot be limited" if rate is None else f"can be kept to {about}{100 * rate:.0f} %"
    wanted = f", about {math.ceil(needed * training / held_out)} to learn from at the same split" if rate else ""
    holds = f"holds {held_out} normal pictures out in turns" if turns else f"sets {validation} normal pictures aside"
    return [
        sentences[gain.answer],
        f"False alarms {kept}: the split {holds} for the threshold, and {100 * budget:g} % takes {needed}{wanted}.",
    ]
