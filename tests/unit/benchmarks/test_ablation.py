"""The ablation reads its arguments and sums up its runs as it says."""

import pandas as pd
import pytest

from benchmarks.ablation import auroc, read_variant, summarise
from stages.core.run.errors import UserError
from tests.table import violations


def test_a_variant_has_a_name_and_revisions() -> None:
    assert read_variant("csad=csad-0,csad-1") == ("csad", ["csad-0", "csad-1"])


def test_other_arguments_are_refused() -> None:
    def check(text: str) -> None:
        with pytest.raises(UserError, match="a variant is given as"):
            read_variant(text)

    assert violations(check, zip(["csad", "csad=", "=HEAD", "csad=a,,b"])) == []


def test_one_kind_is_compared_with_normal_images_only() -> None:
    table = pd.DataFrame({"kind": ["normal", "normal", "logical", "structural"], "score": [1.0, 2.0, 1.5, 3.0]})
    assert auroc(table, "score", "logical") == 0.5
    assert auroc(table, "score", "structural") == 1.0
    assert auroc(table, "score", "unspecified") is None
    assert auroc(table, "histogram", "logical") is None


def test_runs_are_summed_up_kind_by_kind() -> None:
    assert summarise([[0.90, None], [0.94, None], [0.95, 0.5]]) == "93.0 ± 2.5 / –"
