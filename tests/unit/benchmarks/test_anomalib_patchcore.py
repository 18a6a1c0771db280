"""Without anomalib, which the repository does not need, its benchmark says what to install."""

import sys

import pytest

from benchmarks.anomalib_patchcore import patchcore
from stages.core.run.errors import UserError
from stages.core.run.params import EncoderParams


def test_without_anomalib_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anomalib", None)
    with pytest.raises(UserError, match=r"`pip install anomalib==2\.7\.0`"):
        patchcore(EncoderParams(name="tf_efficientnet_lite0", image_size=32))
