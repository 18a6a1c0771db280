"""Published numbers to hold next to ours: image AUROC in percent, always with the data they were measured on."""

from dataclasses import dataclass

LOCO = "MVTec LOCO AD, mean of 5 categories"
NOTE = (
    "Other products and, for both systems, checkpoints chosen on test images: a bar to know, not one that the rows "
    "above can be compared with."
)


@dataclass(frozen=True)
class Reference:
    """A published result; None where the source states no such number."""

    system: str
    data: str
    logical: float | None
    structural: float | None
    mean: float
    source: str


REFERENCES = (
    Reference("CSAD", LOCO, None, None, 95.3, "paper, BMVC 2024"),
    Reference("CSAD", LOCO, None, None, 94.64, "run again for the AeCSAD thesis, 2025"),
    Reference("AeCSAD", LOCO, 97.56, 92.54, 95.05, "AeCSAD thesis, 2025, table 5.1"),
)
