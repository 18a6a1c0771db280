"""Runs the split stage on the data set in the folder `dataset`, for tests."""

from pathlib import Path
from typing import Any

import yaml

from stages.split.__main__ import main

PATHS = [word for name in ("inputs", "truth", "counts") for word in (f"--{name}", f"out/{name}")]


def run_split(*, rotate_up_to: int = 0, **category: Any) -> Path:
    """Run the stage below the current folder for one category with these keys; return the folder of its inputs."""
    params = {"seed": 0, "split": {"ratios": [70, 15, 15], "rotate_up_to": rotate_up_to},
                  "categories": {"part": {"path": "x", **category}},
              "near_duplicates": {"hash_distance": 6, "pixel_difference": 3.0},
              "data_health": {"outlier": 6.0, "shown": 20}}  # fmt: skip
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    main(["--dataset", "dataset", "--category", "part", *PATHS])
    return Path("out/inputs")
