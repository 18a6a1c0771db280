"""Scales of scores as `stages.core.runtime.scaling` has them, and a z as evidence to the last digit of SciPy."""

import numpy as np
from jaxtyping import Float64
from scipy.special import log_ndtr  # scipy.stats takes half a second to import

from stages.core.runtime.scaling import TRIMMED_STD
from stages.core.runtime.scaling import TrimmedZ as TrimmedZ
from stages.core.runtime.scaling import fit_trimmed_z as fit_trimmed_z

Scores = Float64[np.ndarray, "*B N"]


def evidence(scores: Scores) -> Scores:
    """Do as `stages.core.runtime.scaling.evidence`, which differs in the last digits and needs no SciPy."""
    return np.asarray(-log_ndtr(-TRIMMED_STD * scores))
