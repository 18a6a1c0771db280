"""All weight files of the proposer `foundation`, tiny and random, in the published layouts, with their manifest."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.golden.tiny_grounding_dino import tiny_state, write_text_folder
from tests.golden.tiny_sam import build_tiny_sam

TAGS = [
    "disc", "square", "pin", "screw", "table", "red", "bag", "lock", "bolt", "nut", "ring", "wire", "cap", "label",
    "cup", "bottle", "cable", "plug", "hook", "pole", "tool", "apple", "orange", "almond",
]  # fmt: skip
FILES = {
    "ram_plus": "ram.pth", "tag_list": "tags.txt", "tag_thresholds": "thresholds.txt", "grounding_dino": "gd.pth",
    "text_config": "text/config.json", "text_tokenizer": "text/tokenizer.json",
    "text_tokenizer_config": "text/tokenizer_config.json", "sam_tiny": "sam.pth",
}  # fmt: skip


def write_tiny_weights(folder: Path) -> None:
    """The files that FILES names, below `folder`."""
    write_text_folder(folder / "text")
    published = load_file(Path(__file__).parent / "ram_plus_tiny.safetensors")
    torch.save({"model": published, "epoch": 3}, folder / "ram.pth")
    (folder / "tags.txt").write_text("\n".join(TAGS), encoding="utf-8")
    (folder / "thresholds.txt").write_text("0.5\n" * len(TAGS), encoding="utf-8")
    grounding = {f"module.{name}": value for name, value in tiny_state(folder / "text").items()}
    torch.save({"model": grounding | {"module.label_enc.weight": torch.zeros(2, 256)}}, folder / "gd.pth")
    torch.save(build_tiny_sam().state_dict(), folder / "sam.pth")


def write_manifest(path: Path, *, weights: Path, folder: str, known: bool = True) -> None:
    """A manifest of the files in `weights`, as if they were to lie in `folder`.

    Args:
        known: whether their sha256 are published.
    """
    files = {
        part: {
            "file": name,
            "url": f"https://example.invalid/{name}",
            "size": "tiny",
            "sha256": hashlib.sha256((weights / name).read_bytes()).hexdigest() if known else None,
            "licence": "Apache-2.0",
        }
        for part, name in FILES.items()
    }
    path.write_text(json.dumps({"folder": folder, "files": files}, indent=2) + "\n", encoding="utf-8")
