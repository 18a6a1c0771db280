"""A person's words in params.yaml: read, refused where they cannot be asked for, and CSAD's at hand."""

from pathlib import Path

import pytest
import yaml

from stages.aecsad.pseudo_label.foundation.prompts import Prompts, load_prompts
from stages.core.run.errors import UserError
from stages.download.category import AnyCategory
from tests.table import new_folder, violations
from tests.unit.aecsad.drawings import ROOT


def test_the_five_loco_products_can_be_uncommented() -> None:
    """Their words and thresholds are CSAD's; `masks` stands for its switches `no_sam` and `use_grounding_filter`."""
    lines = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    start = lines.index("  # breakfast_box:")
    block = [line.replace("  # ", "", 1) for line in lines[start : lines.index("", start)]]
    products = yaml.safe_load("\n".join(block))
    prompts = {name: Prompts.model_validate(entry["prompts"]) for name, entry in products.items()}
    assert {name: (p.box_threshold, p.text_threshold, p.masks) for name, p in prompts.items()} == {
        "breakfast_box": (0.25, 0.2, "grounded"),
        "juice_bottle": (0.3, 0.3, "automatic"),
        "pushpins": (0.15, 0.2, "grounded"),
        "screw_bag": (0.3, 0.3, "automatic_inside_grounded"),
        "splicing_connectors": (0.3, 0.2, "grounded"),
    }
    assert prompts["pushpins"].objects == ("pin", "pushpin", "drawing pin")
    assert prompts["screw_bag"].background == ("zip-lock bag",)
    for entry in products.values():
        AnyCategory.model_validate(entry)


PROMPTS = {"objects": ["a"], "background": [], "box_threshold": 0.3, "text_threshold": 0.2, "masks": "grounded"}


def test_prompts_of_a_category(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    entries = {"with": {"prompts": PROMPTS}, "without": {}, "bad": {"prompts": {**PROMPTS, "objects": []}}, "no": 1}
    Path("params.yaml").write_text(yaml.safe_dump({"categories": entries}), encoding="utf-8")
    assert load_prompts("with") == Prompts.model_validate(PROMPTS)
    assert load_prompts("without") is None
    with pytest.raises(UserError, match=r"categories\.bad\.prompts\.objects is \[\]: .*at least 1"):
        load_prompts("bad")
    with pytest.raises(UserError, match=r"categories\.no is not a section"):
        load_prompts("no")


def test_words_that_cannot_be_asked_for_are_refused_when_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(change: dict[str, list[str]], message: str) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        entries = {"parts": {"prompts": {**PROMPTS, **change}}}
        Path("params.yaml").write_text(yaml.safe_dump({"categories": entries}), encoding="utf-8")
        with pytest.raises(UserError, match=rf"categories\.parts\.prompts{message}"):
            load_prompts("parts")

    rows = [
        ({"objects": ["pin", " "]}, r"\.objects\[1\]: .*' ': write one class of words"),
        ({"objects": ["screw. pin"]}, r"\.objects\[0\]: .*without '\.'"),
        ({"background": ["bag?"]}, r"\.background\[0\]: .*'bag\?'"),
        ({"objects": ["pin", "Zip bag"], "background": ["tray", "zip bag "]}, ": .*zip bag is under objects and"),
    ]
    assert violations(check, rows) == []
