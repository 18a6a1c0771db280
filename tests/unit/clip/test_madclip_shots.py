"""MadCLIP's shots: balanced, seeded, with what is known of their masks, and encoded once."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from stages.clip.madclip.data import build_training_set, choose_shots, load_shots
from stages.clip.model.features import CachedFeatures
from stages.clip.model.labelled_pool import read_labelled_pool
from stages.clip.model.weights import load_encoder
from tests.unit.clip.case import SIZE, tiny_params, write_pool


def make_pool(normal: int, anomalous: int) -> pd.DataFrame:
    rows = [(f"{n:02d}", f"{n}.png", n >= normal, []) for n in range(normal + anomalous)]
    return pd.DataFrame(rows, columns=["image_id", "file", "is_anomalous", "mask_files"])


def test_shots_are_balanced_seeded_and_unique() -> None:
    pool = make_pool(9, 8)
    first, again, other = (
        choose_shots(pool, shots=4, repetitions=3, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert all(a.equals(b) for a, b in zip(first, again, strict=True))
    assert not all(a.equals(b) for a, b in zip(first, other, strict=True))
    for own in first:
        assert own["is_anomalous"].to_list() == [False] * 4 + [True] * 4
        assert own["image_id"].is_unique


@pytest.mark.parametrize(("masked", "known"), [(0, [False] * 4), (1, [False, True, True, True]), (2, [True] * 4)])
def test_whose_mask_is_known(tmp_path: Path, masked: int, known: list[bool]) -> None:
    """Rows: bad/2, bad/3, good/0, good/1. Without any mask of an anomaly, empty ones of normal images do not count."""
    write_pool(tmp_path / "pool", normal=2, anomalous=2, masked=masked)
    shots = load_shots(read_labelled_pool(tmp_path / "pool"), tmp_path / "pool", size=SIZE, window=None)
    assert shots.labels.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert shots.has_mask.tolist() == known
    assert int(shots.shots.masks.sum()) == 400 * masked


def test_training_set_computes_each_feature_once(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool", normal=2, anomalous=2)
    pool = read_labelled_pool(tmp_path / "pool")
    shots = load_shots(pool, tmp_path / "pool", size=SIZE, window=None)
    encoder = load_encoder(tiny_params())
    for computed in (64, 0):
        cached = CachedFeatures(encoder, blocks=[1, 2, 3, 4], gigabytes=1, folder=tmp_path / "cache")
        data = build_training_set(shots, cached, zoom_and_jitter=True, generator=torch.Generator().manual_seed(0))
        batch = data.batch(torch.tensor([2, 60]))  # a normal image, and an anomalous one upside down
        assert len(data.keys) == 64
        assert cached.computed == computed
    assert batch.tokens.shape == (2, 4, 10, 32)
    exact = encoder.image_features(data.images[[2, 60]], blocks=[1, 2, 3, 4]).tokens
    torch.testing.assert_close(batch.tokens, exact, rtol=1e-3, atol=2e-3)
    assert batch.labels.tolist() == [0.0, 1.0]
    assert float(batch.masks[1].sum()) == 400  # 20 x 20 pixels
