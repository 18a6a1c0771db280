"""Settings with which foundation models of random weights find parts in the tiny product."""

PROMPTS = {
    "objects": ["disc", "square"], "background": ["bag"], "box_threshold": 0.3, "text_threshold": 0.2,
    "masks": "automatic",
}  # fmt: skip
LOOSE = {
    "points_per_side": 3, "points_at_once": 9, "min_predicted_iou": -10.0, "min_stability": 0.0, "max_box_iou": 0.7,
    "crop_layers": 0, "min_region": 20,
}  # fmt: skip
