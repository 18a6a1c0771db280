"""From tags to words, from words to captions, from tokens back to classes."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from stages.aecsad.pseudo_label.foundation.detection import Detector, corners, detection_input
from stages.aecsad.pseudo_label.foundation.grounding_dino import MAX_TOKENS, captions_of, class_scores, quietly
from stages.aecsad.pseudo_label.foundation.ram_plus import RamPlus, RamPlusConfig
from stages.aecsad.pseudo_label.foundation.tags import (
    Tag,
    Tagger,
    TagList,
    TagReport,
    read_tag_list,
    suggest,
    summarise_tags,
    tagging_input,
    write_tags,
)
from stages.core.run.errors import UserError
from tests.golden.tiny_sam import noise
from tests.table import violations

with quietly():
    from transformers import AutoTokenizer

    from tests.golden.tiny_grounding_dino import write_text_folder


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> object:
    return AutoTokenizer.from_pretrained(str(write_text_folder(tmp_path_factory.mktemp("text"))))


def test_classes_know_their_tokens(tokenizer: object) -> None:
    (caption,) = captions_of(["Screw", "zip-lock bag", "pin"], tokenizer)
    assert caption.text == "screw . zip-lock bag . pin ."
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(caption.text)["input_ids"])
    assert [[tokens[i] for i in span] for span in caption.spans] == [["screw"], ["zip", "-", "lock", "bag"], ["pin"]]
    assert tokens[0] == "[CLS]"
    assert tokens[-2:] == [".", "[SEP]"]


def test_long_prompts_are_split_and_lose_no_class(tokenizer: object) -> None:
    classes = [f"{'screw ' * (number % 7 + 1)}pin" for number in range(120)]
    captions = captions_of(classes, tokenizer)
    assert len(captions) > 1
    assert [number for caption in captions for number in caption.classes] == list(range(120))
    for caption in captions:
        tokens = tokenizer.convert_ids_to_tokens(tokenizer(caption.text)["input_ids"])
        assert len(tokens) <= MAX_TOKENS
        for number, span in zip(caption.classes, caption.spans, strict=True):
            assert [tokens[i] for i in span] == classes[number].split()


def test_a_caption_may_be_exactly_full(tokenizer: object) -> None:
    assert len(captions_of(["screw"] * 127, tokenizer)) == 1  # [CLS], 127 times two tokens, [SEP]
    assert len(captions_of(["screw"] * 128, tokenizer)) == 2
    assert len(captions_of(["screw " * 253], tokenizer)) == 1


def test_classes_that_cannot_be_asked_for(tokenizer: object) -> None:
    def check(name: str, message: str) -> None:
        with pytest.raises(UserError, match=message):
            captions_of([name], tokenizer)

    rows = [
        ("", "write one class"),
        ("screw. pin", "without '.'"),
        ("screw " * 254, "254 tokens, too long"),
        ("日", "unknown"),
    ]
    assert violations(check, rows) == []


def test_only_a_class_s_own_tokens_count_for_it(tokenizer: object) -> None:
    (caption,) = captions_of(["screw", "zip-lock bag"], tokenizer)
    probabilities = torch.zeros(2, 12)
    probabilities[0, 2] = 0.9  # the point between the classes
    probabilities[1, 6] = 0.7  # "bag"
    assert class_scores(probabilities, caption).tolist() == [[0.0, 0.0], [0.0, pytest.approx(0.7)]]


class FixedAnswers(torch.nn.Module):
    """Answers captions with prepared token probabilities: class k of the caller's list gets boxes[k] with scores[k]."""

    def __init__(self, tokenizer: object, scores: dict[str, float]) -> None:
        super().__init__()
        self.tokenizer, self.scores, self.captions = tokenizer, scores, []

    def forward(self, images: torch.Tensor, captions: list[str]) -> dict[str, torch.Tensor]:
        self.captions += captions
        tokens = self.tokenizer.convert_ids_to_tokens(self.tokenizer(captions[0])["input_ids"])
        logits = torch.full((1, len(tokens), 256), -torch.inf)
        boxes = torch.zeros(1, len(tokens), 4)
        for position, token in enumerate(tokens):
            score = self.scores.get(token, 0.01)
            logits[0, position, position] = np.log(score / (1 - score))
            boxes[0, position] = torch.tensor([0.5, 0.25, 0.5, 0.5])
        return {"pred_logits": logits, "pred_boxes": boxes}


def test_boxes_above_the_threshold_best_first_in_pixels(tokenizer: object) -> None:
    network = FixedAnswers(tokenizer, {"screw": 0.4, "pin": 0.8, "bag": 0.18, "disc": 0.1, ".": 0.99})
    detector = Detector(
        network, ["screw", "pin", "bag", "disc"], box_threshold=0.15, text_threshold=0.2, device=torch.device("cpu")
    )
    found = detector(noise(40, 80))
    np.testing.assert_allclose(found.scores, [0.8, 0.4, 0.18], atol=1e-5)
    assert found.classes.tolist() == [1, 0, -1]  # "bag" is a box, but not sure to be a bag
    assert found.boxes.tolist() == [[20, 0, 60, 20]] * 3


def test_all_captions_of_a_long_prompt_are_asked(tokenizer: object) -> None:
    classes = ["screw"] * 200 + ["pin"]
    network = FixedAnswers(tokenizer, {"pin": 0.8})
    detector = Detector(network, classes, box_threshold=0.15, text_threshold=0.2, device=torch.device("cpu"))
    assert detector(noise(40, 80)).classes.tolist() == [200]
    assert len(network.captions) == 2


def test_the_detector_s_input_size() -> None:
    def check(size: tuple[int, int], expected: tuple[int, int]) -> None:
        assert detection_input(noise(*size)).shape == (3, *expected)

    rows = [((1280, 1600), (800, 1000)), ((100, 400), (333, 1333)), ((800, 800), (800, 800))]
    assert violations(check, rows) == []


def test_corners_are_cut_at_the_border() -> None:
    boxes = torch.tensor([[0.5, 0.5, 1.4, 0.5], [0.1, 0.9, 0.1, 0.4]])
    expected = torch.tensor([[0.0, 25, 200, 75], [10, 70, 30, 100]])
    torch.testing.assert_close(corners(boxes, height=100, width=200), expected)


def test_the_tagger_s_input_is_squashed_by_pil() -> None:
    """Resizing a tensor without antialiasing gives other pixels, and so other tags."""
    image = noise(90, 200)
    found = tagging_input(image, size=48)
    pil = np.asarray(Image.fromarray(image).resize((48, 48), Image.Resampling.BILINEAR), dtype=np.float32) / 255
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    np.testing.assert_allclose(found.permute(1, 2, 0), (pil - mean) / std, atol=1e-6)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    other = torch.nn.functional.interpolate(tensor, (48, 48), mode="bilinear", antialias=False)[0]
    assert (other - torch.from_numpy(pil).permute(2, 0, 1)).abs().max() > 0.1


def test_tag_lists_are_checked(tmp_path: Path) -> None:
    names, thresholds = tmp_path / "names.txt", tmp_path / "thresholds.txt"
    names.write_text("apple\ntwo words", encoding="utf-8")  # as published, without a last line break
    thresholds.write_text("0.65\n1.0\n", encoding="utf-8")
    tags = read_tag_list(names, thresholds)
    assert tags.names == ("apple", "two words")
    np.testing.assert_allclose(tags.thresholds, [0.65, 1.0])
    for text, message in (("0.65", "1 thresholds"), ("0.65\nx", "could not convert"), ("0.65\n1.5", "outside 0 to 1")):
        thresholds.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            read_tag_list(names, thresholds)
    names.write_text("apple\napple", encoding="utf-8")
    thresholds.write_text("0.65\n0.65", encoding="utf-8")
    with pytest.raises(UserError, match="occurs twice"):
        read_tag_list(names, thresholds)


def test_names_for_another_number_of_tags_are_refused() -> None:
    with torch.device("meta"):
        network = RamPlus(RamPlusConfig(image_size=128, window=4, embed_dim=16, depths=(1, 1, 1, 1), tags=3))
    with pytest.raises(ValueError, match="1 names for a network of 3 tags"):
        Tagger(network, TagList(("a",), np.float32([0.5])), device=torch.device("meta"))


def test_proposals_are_frequent_things_and_ground_apart() -> None:
    images = [
        [Tag("bottle", 0.9, 0.65), Tag("table", 0.8, 0.65), Tag("red", 0.9, 0.65), Tag("juice", 0.6, 0.65)],
        [Tag("bottle", 0.7, 0.65), Tag("table", 0.7, 0.65), Tag("red", 0.9, 0.65), Tag("cat", 0.7, 0.65)],
        [Tag("bottle", 0.8, 0.65)],
    ]
    rows = summarise_tags(images)
    assert [row["tag"] for row in rows] == ["bottle", "red", "table", "cat", "juice"]
    assert rows[0] == {"tag": "bottle", "share": 1.0, "probability": 0.8, "threshold": 0.65}
    assert rows[-1] == {"tag": "juice", "share": 0.0, "probability": 0.6, "threshold": 0.65}  # a near miss
    assert suggest(rows, min_share=0.5) == {"objects": ("bottle",), "background": ("table",)}


def test_a_tag_that_cannot_be_a_prompt_is_not_proposed() -> None:
    rows = summarise_tags([[Tag("st. bernard", 0.9, 0.65), Tag("dog", 0.9, 0.65)]])
    assert suggest(rows, min_share=0.5)["objects"] == ("dog",)


def test_tags_yaml_is_for_people(tmp_path: Path) -> None:
    rows = ({"tag": "bottle", "share": 1.0, "probability": 0.8, "threshold": 0.65},)
    used = {"objects": ("bottle",), "background": (), "box_threshold": 0.3}
    report = TagReport(3, rows, {"objects": ("bottle",), "background": ()}, used, "none: nobody")
    write_tags(tmp_path / "tags.yaml", report, proposer="foundation")
    text = (tmp_path / "tags.yaml").read_text(encoding="utf-8")
    assert text.startswith("# Written by the pseudo_label stage")
    content = yaml.safe_load(text)
    assert content["human_input"] == "none: nobody"
    assert content["used"]["objects"] == ["bottle"]
    assert content["tags"] == list(rows)
    write_tags(tmp_path / "tags.yaml", None, proposer="dense_clusters")
    assert "reads no words" in (tmp_path / "tags.yaml").read_text(encoding="utf-8")
