"""CLIP weights are found, read and checked, never replaced by random ones; names, blocks and texts are checked."""

import io
import logging
import re
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stages.clip.model.encoder import crop_and_normalise, squash
from stages.clip.model.params import ClipParams
from stages.clip.model.weights import build_clip, is_torchscript, load_encoder, read_state
from stages.core.run.errors import UserError
from tests.table import new_folder, violations
from tests.unit.clip.case import SIZE, tiny_params


def image(seed: int = 0) -> torch.Tensor:
    return torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


class Archive(torch.nn.Module):
    """A TorchScript module with the tensors of a CLIP, as OpenAI's files are."""

    def __init__(self, clip: torch.nn.Module) -> None:
        super().__init__()
        self.visual, self.transformer = clip.visual, clip.transformer
        self.token_embedding, self.ln_final = clip.token_embedding, clip.ln_final
        self.positional_embedding, self.text_projection = clip.positional_embedding, clip.text_projection
        self.logit_scale = clip.logit_scale
        self.register_buffer("input_resolution", torch.tensor(SIZE))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.logit_scale


def write_archive(path: Path, clip: torch.nn.Module) -> None:
    """Traced, because open_clip's modules cannot be scripted; half precision, as OpenAI's files."""
    traced = torch.jit.trace(Archive(clip).half(), torch.zeros(1))
    torch.jit.save(traced, path)


@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_weights_from_files(tmp_path: Path, kind: str) -> None:
    clip = build_clip(tiny_params())
    path = tmp_path / f"weights.{kind}"
    if kind == "safetensors":
        save_file(clip.state_dict(), path)
    else:
        torch.save(clip.state_dict(), path)
        assert not is_torchscript(path)
    encoder = load_encoder(tiny_params(weights={"file": str(path), "sha256": None}))
    for name, value in clip.state_dict().items():
        assert torch.equal(encoder.clip.state_dict()[name], value)
    assert not any(value.requires_grad for value in encoder.parameters())
    assert not encoder.train().clip.training


@pytest.mark.filterwarnings("ignore:`torch.jit.(trace|save):FutureWarning")
def test_openai_archives_are_read(tmp_path: Path) -> None:
    clip = build_clip(tiny_params())
    expected = {name: value.half().float() for name, value in clip.state_dict().items()}
    write_archive(tmp_path / "ViT.pt", clip)
    assert is_torchscript(tmp_path / "ViT.pt")
    state = read_state(tmp_path / "ViT.pt")
    assert set(state) == set(expected)
    assert all(torch.equal(state[name], value) for name, value in expected.items())
    loaded = load_encoder(tiny_params(weights={"file": str(tmp_path / "ViT.pt"), "sha256": None}))
    assert loaded.image_features(image()[None], blocks=[1]).embedding.shape == (1, 32)


def test_a_pickle_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"visual": Path}}, tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"a\.pt: no readable CLIP weights"):
        read_state(tmp_path / "a.pt")


def test_damaged_files(tmp_path: Path) -> None:
    def check(content: bytes) -> None:
        folder = new_folder(tmp_path)
        for name in ("a.pt", "a.safetensors"):
            (folder / name).write_bytes(content)
            with pytest.raises(UserError, match=rf"{name}: no readable CLIP weights .*: fetch the file again"):
                read_state(folder / name)

    assert violations(check, zip([b"", b"no weights", b"PK\3\4"])) == []


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x/code/a.py", "")
    (tmp_path / "a.pt").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match="no readable CLIP weights"):
        read_state(tmp_path / "a.pt")


def test_weights_that_are_not_available(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def check(changes: dict[str, object], message: str) -> None:
        folder = new_folder(tmp_path)
        monkeypatch.setattr("stages.clip.model.weights.RELEASE_CACHE", folder)
        monkeypatch.setattr("stages.clip.model.weights.try_to_load_from_cache", lambda *_: None)
        monkeypatch.setattr("stages.clip.model.weights.build_clip", lambda params: build_small(params))
        with pytest.raises(UserError, match=message):
            load_encoder(tiny_params(**changes))

    rows = [
        ({"weights": {"file": "nowhere.pt", "sha256": None}}, r"nowhere\.pt \(clip\.weights\.file\) does not exist"),
        (
            {"architecture": "ViT-L-14-336", "weights": {"tag": "openai", "source": "hub", "offline": True}},
            r"openai of ViT-L-14-336 are not on this machine.*hf download timm/vit_large_patch14_clip_336\.openai",
        ),
        (
            {"architecture": "ViT-B-16-plus-240",
             "weights": {"tag": "laion400m_e32", "source": "release", "offline": True}},
            r"laion400m_e32 of ViT-B-16-plus-240 are not.*vit_b_16_plus_240-laion400m_e32-699c4b84\.pt",
        ),
        (
            {"architecture": "ViT-L-14-336", "weights": {"tag": "laion", "source": "hub", "offline": True}},
            r"ViT-L-14-336 has no weights 'laion'; known: openai",
        ),
        ({"architecture": "ViT-X"}, "has no CLIP 'ViT-X'"),
        ({"architecture": "coca_ViT-B-32"}, "has no CLIP 'coca_ViT-B-32'"),
        ({"architecture": "RN50"}, "'RN50' is no vision transformer with CLIP's own text transformer: take one like"),
        ({"architecture": "convnext_base"}, "'convnext_base' is no vision transformer"),
        ({"architecture": "roberta-ViT-B-32"}, "'roberta-ViT-B-32' is no vision transformer with CLIP's own text"),
        ({"weights": {"tag": "openai", "source": "hub", "offline": True}}, "need a name of open_clip's, not measures"),
        ({"image_size": 12}, "12 is less than one patch of 16 pixels"),
    ]  # fmt: skip
    assert violations(check, rows) == []


def build_small(params: ClipParams) -> object:
    """Networks of hundreds of millions of weights are not built to find their file missing."""
    return None if str(params.architecture) in ("ViT-L-14-336", "ViT-B-16-plus-240") else build_clip(params)


def test_another_content_than_stated(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"x")
    with pytest.raises(UserError, match=r"a\.pt: has sha256 2d711642.*, the profile names 000"):
        load_encoder(tiny_params(weights={"file": str(tmp_path / "a.pt"), "sha256": "0" * 64}))


def test_weights_of_another_network(tmp_path: Path) -> None:
    state = build_clip(tiny_params()).state_dict()
    del state["ln_final.weight"]
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=r"a\.safetensors: are not the weights of.*ln_final\.weight"):
        load_encoder(tiny_params(weights={"file": str(tmp_path / "a.safetensors"), "sha256": None}))


def test_random_weights_are_announced_and_repeat(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with caplog.at_level(logging.WARNING):
        first, second = load_encoder(tiny_params()), load_encoder(tiny_params())
    assert "CLIP has random weights" in caplog.text
    assert first.fingerprint() == second.fingerprint()
    assert torch.equal(torch.get_rng_state(), before)
    assert load_encoder(tiny_params(weights={"random_seed": 1})).fingerprint() != first.fingerprint()


def test_texts_without_tokens_or_with_too_many() -> None:
    encoder = load_encoder(tiny_params())
    with pytest.raises(UserError, match="the text ' ' has no token: name the object in words"):
        encoder.tokenize(["a", " "])
    with pytest.raises(UserError, match="has 76 tokens, 75 fit: give the object a shorter name"):
        encoder.tokenize([" ".join(["part"] * 76)])
    assert encoder.tokenize([" ".join(["part"] * 75)]).shape == (1, 77)


def test_the_same_texts_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder(tiny_params())
    first = encoder.ensemble(["a part", "a plate"])
    monkeypatch.setattr(encoder, "encode_embeddings", None)
    assert torch.equal(encoder.ensemble(["a part", "a plate"]), first)
    with pytest.raises(TypeError):
        encoder.ensemble(["a part"])


def test_blocks_and_sizes_are_checked() -> None:
    encoder = load_encoder(tiny_params())
    for blocks in ([5], [0], [1, 1, 2, 3], [3, 1]):
        with pytest.raises(
            UserError, match=rf"blocks: {re.escape(str(blocks))} must be increasing numbers from 1 to 4"
        ):
            encoder.image_features(image()[None], blocks=blocks)
    with pytest.raises(ValueError, match="images of \\(47, 47\\) pixels for a network of 48"):
        encoder.image_features(image()[None, :, 1:, 1:], blocks=[1])
    odd = load_encoder(tiny_params(image_size=SIZE + 7))
    assert odd.grid == 3  # the last 7 pixels are not seen
    assert odd.image_features(torch.zeros(1, 3, SIZE + 7, SIZE + 7), blocks=[1, 4]).tokens.shape == (1, 2, 10, 32)


def test_preparations_by_hand() -> None:
    """A 48 x 96 picture, left half black: the crop keeps its middle, the squash all of it."""
    picture = torch.zeros(48, 96, 3, dtype=torch.uint8)
    picture[:, 48:] = 255
    whole = squash(picture.numpy(), 48)
    assert whole.shape == (3, 48, 48)
    assert (whole[0, 5, 5], whole[0, 5, 40]) == (0.0, 1.0)
    middle = crop_and_normalise(picture.numpy(), 48)
    expected = [(0 - 0.48145466) / 0.26862954, (1 - 0.48145466) / 0.26862954]
    torch.testing.assert_close(middle[0, 20, [2, 45]], torch.tensor(expected))
