"""Is my run normal? Its time and memory next to those of the default products on a reference machine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from stages.report.rows import Costs

REFERENCE = Path(__file__).with_name("reference_cost.json")  # python -m benchmarks.cost.reference
TIMES, SECONDS = 2.0, 5.0  # both are needed for a stage to count as slower or faster
MEMORY_TIMES, MEGABYTES = 1.5, 300.0  # the same for memory
BUSY = 1.3  # multiple of the processor time up to which a slow stage has only waited
EXPECTED = "as expected"


@dataclass(frozen=True)
class Cost:
    """Of a stage instance: seconds on the clock, seconds of all cores, highest resident memory; None if not known."""

    seconds: float
    processor_seconds: float | None = None
    peak_mb: float | None = None


@dataclass(frozen=True)
class Reference:
    """A run on the reference machine.

    Attributes:
        machine, profile: in words; the name of the profile.
        images: of each product, which tells whether it is the same data.
        costs: by "<product>/<stage>".
    """

    machine: str
    profile: str
    images: Mapping[str, int]
    costs: Mapping[str, Cost]


@dataclass(frozen=True)
class Comparison:
    """A stage of this run next to the reference's.

    Attributes:
        verdict: in words.
    """

    product: str
    stage: str
    own: Cost
    reference: Cost
    verdict: str

    @property
    def normal(self) -> bool:
        """Return whether it is nothing to look at."""
        return not self.verdict.startswith("slower") and "memory" not in self.verdict


@dataclass(frozen=True)
class RunCost:
    """This run next to the reference's; no comparison where they have no product in common."""

    reference: Reference
    profile: str
    comparisons: tuple[Comparison, ...]

    @property
    def summary(self) -> str:
        """Say in a line how many stages are as usual."""
        normal, every = sum(one.normal for one in self.comparisons), len(self.comparisons)
        return "nothing to compare" if not every else f"{normal} of {every} stages are, or are faster"


def read_reference(path: Path = REFERENCE) -> Reference:
    """Read the numbers of the reference machine."""
    return TypeAdapter(Reference).validate_python(json.loads(path.read_text(encoding="utf-8")))


def compare_costs(costs: Costs, reference: Reference, *, profile: str, images: Mapping[str, int]) -> RunCost:
    """Compare each stage of a product that the reference has, too, and that has as many images there.

    Args:
        costs: of this run.
        reference: of `read_reference`.
        profile: of this run; another one than the reference's cannot be compared.
        images: of this run's products.
    """
    found = []
    for key, usual in reference.costs.items():
        product, _, stage = key.partition("/")
        if profile == reference.profile and key in costs and images.get(product) == reference.images[product]:
            own = cost_of(costs[key])
            found.append(Comparison(product, stage, own, usual, judge(own, usual)))
    return RunCost(reference, profile, tuple(found))


def cost_of(values: Mapping[str, object]) -> Cost:
    """Take what a stage wrote of itself; what is no number is not known."""
    seconds, processor, peak = (
        float(value) if isinstance(value, int | float) else None
        for value in (values.get(name) for name in ("seconds", "processor_seconds", "peak_mb"))
    )
    return Cost(seconds or 0.0, processor, peak)


def judge(own: Cost, usual: Cost) -> str:
    """Compare in words: faster, as expected or slower, and whether it took more memory."""
    verdict = EXPECTED
    if far(own.seconds, usual.seconds, TIMES, SECONDS):
        verdict = f"slower ({own.seconds / usual.seconds:.1f} x)" if usual.seconds else "slower"
        if waited(own, usual):
            verdict += ", it waited: the machine had other work, or its disk is slow"
    elif far(usual.seconds, own.seconds, TIMES, SECONDS):
        verdict = "faster"
    if own.peak_mb and usual.peak_mb and far(own.peak_mb, usual.peak_mb, MEMORY_TIMES, MEGABYTES):
        verdict += f", more memory ({own.peak_mb / usual.peak_mb:.1f} x)"
    return verdict


def far(value: float, usual: float, times: float, difference: float) -> bool:
    """Return whether a value lies above another one by both a factor and a difference."""
    return value > times * usual and value - usual > difference


def waited(own: Cost, usual: Cost) -> bool:
    """Return whether a stage computed no longer than usual."""
    both = own.processor_seconds is not None and usual.processor_seconds is not None
    return both and own.processor_seconds <= BUSY * usual.processor_seconds  # type: ignore[operator]
