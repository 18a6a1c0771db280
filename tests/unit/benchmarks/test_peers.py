"""Peers: without anomalib the command says what to install; the extractor in its place; the table."""

import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.peers import table
from benchmarks.peers.__main__ import as_half, main
from benchmarks.peers.models import LAYERS, PEERS, Stages, Untrained
from benchmarks.peers.own import OWN
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.run.errors import UserError

LITE0 = "tf_efficientnet_lite0"


@pytest.mark.parametrize("method", PEERS)
def test_without_anomalib_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setitem(sys.modules, "anomalib", None)
    with pytest.raises(UserError, match=r"anomalib is not installed .*: run `make setup-baselines`"):
        PEERS[method](FrozenEncoder(LITE0), 32)


def test_a_peer_that_needs_downloads_is_refused_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["run", "efficient_ad", "pin_tray"])
    assert "efficient_ad is not run: its teacher's weights and its penalty images" in caplog.text


def test_our_encoder_stands_in_the_place_of_anomalibs_extractor() -> None:
    encoder = FrozenEncoder(LITE0)
    image = torch.rand(1, 3, 64, 64)
    same = Stages(encoder, LAYERS[1:])
    assert same.out_dims == [40, 112]
    for ours, theirs in zip(encoder(image)[1:], same(image).values(), strict=True):
        assert torch.equal(ours, theirs)
    wider = Stages(encoder, LAYERS, widened=True)
    found = wider(image)
    assert [tuple(one.shape) for one in found.values()] == [(1, 64, 16, 16), (1, 128, 8, 8), (1, 256, 4, 4)]
    matrix = wider.maps[0].weight[:, :, 0, 0]  # keeps lengths, and with them what is far and what is near
    torch.testing.assert_close(matrix.T @ matrix, torch.eye(24), atol=1e-5, rtol=0)
    assert not any(parameter.requires_grad for parameter in wider.parameters())
    student = Untrained(encoder, LAYERS)
    assert [one.shape for one in student(image).values()] == [one.shape for one in encoder(image)]
    assert not torch.allclose(next(iter(student(image).values())), encoder(image)[0])


def test_tiny_maps_keep_their_order_in_half_precision() -> None:
    maps = as_half([torch.tensor([[1e-9, 2e-9]]).numpy(), torch.tensor([[4e-9, 3e-9]]).numpy()])
    assert maps.ravel().tolist() == [0.25, 0.5, 1.0, 0.75]


def test_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "image_auroc": {"logical": None, "structural": 0.9, "all": 0.9}, "aupro": None, "au_spro": None,
        "at_threshold": {"false_alarm_rate": 0.05}, "fit_seconds": 7.4, "milliseconds_an_image": 20.0, "peak_mb": 900,
    }  # fmt: skip
    assert table.cells(row) == ["–", "90.0", "90.0", "–", "–", "5.0", "–", "7", "20", "900", "–"]
    (tmp_path / "results/padim").mkdir(parents=True)
    (tmp_path / "results/padim/bolt.json").write_text(json.dumps(row), encoding="utf-8")
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation/bolt.json").write_text(json.dumps(dict.fromkeys(OWN, row)), encoding="utf-8")
    monkeypatch.setattr(table, "METRICS", tmp_path)
    assert table.comparison(tmp_path / "results").row_count == len(OWN) + 1
