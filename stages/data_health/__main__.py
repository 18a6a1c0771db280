"""Look for what is wrong with the data: duplicates across splits, odd images, missing masks."""

import json
from collections.abc import Sequence

from stages.core.artifacts.truth import read_truth
from stages.core.image_files.reading import read_image
from stages.core.likeness import LikenessParams
from stages.core.running.atomic import replacing_file
from stages.core.running.console import progress
from stages.core.running.params import load_value, validate
from stages.core.running.stage import parse_paths, stage_entry
from stages.data_health.health import check_health
from stages.data_health.look import look_at
from stages.data_health.params import DataHealthParams


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["truth", "image_files"], writes=["health"], about=__doc__)
    params = validate(DataHealthParams, load_value("data_health"), where="data_health")
    likeness = validate(LikenessParams, load_value("near_duplicates"), where="near_duplicates")
    truth = read_truth(paths.truth)
    rows = progress(list(zip(truth["image_id"], truth["file"], strict=True)), total=len(truth), label="data health")
    looks = {image_id: look_at(read_image(paths.image_files / file)) for image_id, file in rows}
    health = check_health(truth, looks, **likeness.model_dump(), **params.model_dump())
    with replacing_file(paths.health) as temporary:
        temporary.write_text(json.dumps(health, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    pairs = health["duplicates"]
    across = pairs["exact_across_splits"] + pairs["near_across_splits"]
    return f"{len(truth)} images, {across} duplicates across splits, {sum(health['outliers'].values())} outliers"


if __name__ == "__main__":
    main()
