"""Evidence without SciPy."""

import numpy as np
from scipy.stats import norm, truncnorm

from stages.aecsad.model.scaling import evidence as by_scipy
from stages.core.runtime.scaling import TRIM, TRIMMED_STD, evidence, log_survival


def test_the_logarithm_of_the_survival_function_is_exact_far_into_the_tail() -> None:
    z = np.concatenate([np.linspace(-37, 40, 5001), np.logspace(-300, 8, 2000), -np.logspace(-300, 1.5, 500)])
    np.testing.assert_allclose(log_survival(z), norm.logsf(z), rtol=1e-12, atol=0)


def test_where_the_parts_of_the_approximation_meet() -> None:
    """At x = z / sqrt(2) of 0.46875, -0.46875 and 4, and next to them."""
    joints = np.array([0.46875, -0.46875, 4.0]) * np.sqrt(2)
    z = np.concatenate([joints, np.nextafter(joints, np.inf), np.nextafter(joints, -np.inf)])
    np.testing.assert_allclose(log_survival(z), norm.logsf(z), rtol=1e-12, atol=0)


def test_evidence_of_whole_arrays() -> None:
    z = np.random.default_rng(0).normal(0, 30, (3, 5, 7))
    np.testing.assert_allclose(evidence(z), by_scipy(z), rtol=1e-12, atol=1e-300)


def test_the_spread_of_the_middle_of_a_normal_variable() -> None:
    assert float(truncnorm(*norm.ppf(TRIM)).std()) == TRIMMED_STD
