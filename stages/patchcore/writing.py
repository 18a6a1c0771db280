"""Write scores and maps in the layout every method ends in."""

from pathlib import Path

from stages.core.io.maps import write_anomaly_maps
from stages.core.io.result import write_scores
from stages.core.neighbours.bank import Result
from stages.core.run.atomic import replacing_folder


def write_result(path: Path, result: Result) -> None:
    """Write `path`/scores.parquet and `path`/maps, both or neither."""
    with replacing_folder(path) as folder:
        write_scores(folder / "scores.parquet", result.scores)
        write_anomaly_maps(folder / "maps", result.scores["image_id"].to_list(), result.maps)
