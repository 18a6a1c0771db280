"""Score with peers: methods as anomalib computes them, on the active profile's encoder, our splits and our metrics.

    make setup-baselines                                                        # once, an environment of its own
    .venv-baselines/bin/python -m benchmarks.peers run padim pin_tray juice_bottle elpv_mono
    python -m benchmarks.peers own pin_tray juice_bottle elpv_mono              # what our methods cost, after dvc repro
    python -m benchmarks.peers show                                             # the table, next to ours

Each run writes one JSON to benchmarks/peers/results/. Training sees normal images of the split "train" only, and the
threshold is fitted on those of "validation" as for our own methods; nothing is chosen by test images. A row has image
AUROC, pixel AUPRO and saturated PRO, the seconds to fit, milliseconds an image with its encoder, the process's largest
memory, and the bytes that must be kept besides the encoder.

Of EfficientAD there is no row: its teacher's weights and penalty images are downloads.
"""

import argparse
import json
import logging
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float16
from torch import Tensor

from benchmarks.peers.models import NOT_RUN, PEERS, Peer
from benchmarks.peers.own import own_costs
from benchmarks.peers.table import METRICS, OWN_COSTS, RESULTS, comparison
from stages.core.encoder.device import seed_everything
from stages.core.encoder.encoder import FrozenEncoder, load_stack, to_float
from stages.core.io.maps import AnomalyMaps
from stages.core.io.result import MethodResult, rows_to_score, write_result
from stages.core.io.tables import image_files, read_images
from stages.core.run.atomic import replacing_file
from stages.core.run.console import CONSOLE, progress
from stages.core.run.errors import UserError
from stages.core.run.params import EncoderParams, load_params, load_seed, load_value, validate
from stages.core.run.stage import command_entry
from stages.core.runtime.maps import to_half
from stages.evaluation.inputs import read_product
from stages.evaluation.judging import calibrate_methods, judge_methods
from stages.evaluation.outputs import write_summaries
from stages.evaluation.params import EvaluationParams

LOG = logging.getLogger(__name__)
RESAMPLES = 50  # for intervals, which the table does not show
KEPT = ("image_auroc", "aupro", "au_spro", "pixel_auroc", "at_threshold")
COUNTED = 20  # images whose time is measured, after the first


@command_entry
def main(argv: Sequence[str]) -> str:
    """Run a peer on products, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("show", help="the table of all results next to ours")
    own = verbs.add_parser("own", help="measure what our methods cost")
    own.add_argument("categories", nargs="+")
    run = verbs.add_parser("run", help="fit and judge one method")
    run.add_argument("method", choices=[*PEERS, *NOT_RUN])
    run.add_argument("categories", nargs="+")
    run.add_argument("--split", type=Path, default=Path("artifacts/split"), help="holds <category>/inputs and truth")
    run.add_argument("--seen", type=int, default=4000, help="images that a training with steps sees (default 4000)")
    run.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(argv)
    if given.verb == "show":
        CONSOLE.print(comparison(RESULTS))
        return f"{len(list(RESULTS.glob('*/*.json')))} results of peers"
    if given.verb == "own":
        size = load_params(EncoderParams, section="encoder").image_size
        write(RESULTS / OWN_COSTS, {one: own_costs(one, size=size, metrics=METRICS) for one in given.categories})
        return f"our methods on {len(given.categories)} products"
    if given.method in NOT_RUN:
        raise UserError(f"{given.method} is not run: {NOT_RUN[given.method]}")
    for category in given.categories:
        row = measured(given.method, given.split / category, seen=given.seen)
        write(given.results / given.method / f"{category}.json", row)
        LOG.info("%s on %s: %s", given.method, category, row["image_auroc"])
    return f"{given.method} on {len(given.categories)} products"


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def measured(method: str, folder: Path, *, seen: int) -> dict[str, Any]:
    """Fit a peer, judge all images, and return its row.

    Args:
        method: of PEERS.
        folder: a product's split.
        seen: see `Peer.fit`.

    Raises:
        UserError: anomalib is not installed, or the split is missing or damaged.
    """
    params, seed = load_params(EncoderParams, section="encoder"), load_seed()
    generator = seed_everything(seed)
    encoder = FrozenEncoder(params.network)
    images = read_images(folder / "inputs")
    files, size = image_files(folder / "inputs"), params.image_size
    peer: Peer = PEERS[method](encoder, size)
    train = to_float(load_stack(files, images.loc[images["split"] == "train", "file"], size=size))
    started = time.perf_counter()
    peer.fit(train, seen=seen, generator=generator)
    seconds = time.perf_counter() - started
    rows = rows_to_score(images)
    judged, milliseconds = judge_all(peer, files, list(rows["file"]), size=size)
    result = MethodResult(
        rows.drop(columns="file").assign(score=[score for score, _ in judged]),
        AnomalyMaps(tuple(rows["image_id"]), as_half([one for _, one in judged])),
    )
    row = metrics_of(result, folder, method=method, seed=seed)
    return row | {
        "anomalib": True, "encoder": params.network, "seed": seed, "training_images": len(train),
        "images_seen": peer.trained_images or len(train), "fit_seconds": round(seconds, 1),
        "milliseconds_an_image": round(milliseconds, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "stored_mb": round(peer.stored_bytes() / 1e6, 1), "threads": torch.get_num_threads(),
    }  # fmt: skip


def judge_all(
    peer: Peer, folder: Path, files: Sequence[str], *, size: int
) -> tuple[list[tuple[float, np.ndarray]], float]:
    """Return score and map of every image, and the milliseconds that one takes from its file on, encoder included."""
    judged = []
    for file in progress(list(files), total=len(files), label="images"):
        score, anomaly_map = peer.judge(to_float(load_stack(folder, [file], size=size)))
        judged.append((score, anomaly_map.cpu().numpy()))
    fresh = np.random.default_rng(0).random((COUNTED, 1, 3, size, size), dtype=np.float32)  # no features on disk
    started = time.perf_counter()
    for image in fresh:
        peer.judge(Tensor(image))
    return judged, 1000 * (time.perf_counter() - started) / COUNTED


def as_half(maps: Sequence[np.ndarray]) -> Float16[np.ndarray, "N h w"]:
    """Return maps in float16, all divided by the largest value: some are products of tiny distances."""
    together = np.stack(maps)
    return to_half(together / max(float(np.abs(together).max()), float(np.finfo(np.float32).tiny)))


def metrics_of(result: MethodResult, folder: Path, *, method: str, seed: int) -> dict[str, Any]:
    """Evaluate a result as the pipeline's evaluation does."""
    params = validate(EvaluationParams, load_value("evaluation"), where="evaluation")
    params = params.model_copy(update={"bootstrap_resamples": RESAMPLES})
    product = read_product(folder / "inputs", folder / "truth")
    with tempfile.TemporaryDirectory(prefix="peers-") as scratch:
        write_result(Path(scratch, method), result)
        calibrated = calibrate_methods(Path(scratch), product, params, methods=[method])
        summaries = judge_methods(calibrated, product, params, seed=seed)
        metrics, intervals = Path(scratch, "metrics.json"), Path(scratch, "intervals.json")
        write_summaries(summaries, metrics=metrics, intervals=intervals)
        found = json.loads(metrics.read_text(encoding="utf-8"))[method]
    return {name: found[name] for name in KEPT}


if __name__ == "__main__":
    main()
