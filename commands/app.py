"""The console script `oddpart`: its verbs and their options.

A verb's module is imported when the verb is called, so that `oddpart --help` is quick and works in the base install.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from commands import options
from commands.history.verb import EXAMPLES, history
from commands.verbs import Closing, verb

WEIGHTS = Path("data/foundation_weights.json")
Category = Annotated[str, typer.Option(help="Product: a key of `categories` in params.yaml.", metavar="NAME")]
Metrics = Annotated[Path, typer.Option(help="Folder that the pipeline writes its metrics to.", metavar="FOLDER")]


class Format(StrEnum):
    """How `oddpart compare` writes its result."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


app = typer.Typer(
    name="oddpart",
    help="Find the odd part: what is damaged, what is wrongly put together, and where. See `oddpart VERB --help`.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def main() -> None:
    """Run the console script."""
    app(prog_name="oddpart")


@app.command(epilog="Example: oddpart doctor")
@verb
def doctor(
    data: Annotated[bool, typer.Option("--data", help="Only what stops `dvc repro`: settings, products.")] = False,
) -> None:
    """Check that everything is in place to run.

    Python, memory, disk, packages, weights, params.yaml, the products' files, git and DVC. One line each: ok, warn or
    fail, what it is about, and the remedy. The exit code is 1 if anything fails. `make repro` begins with --data.
    """
    from commands.doctor.report import examine

    if examine(data=data):
        raise typer.Exit(1)


@app.command(epilog="Example: oddpart add bracket /data/bracket")
@verb
def add(
    name: Annotated[str, typer.Argument(help="The product's name: letters, digits, - and _.")],
    path: Annotated[str, typer.Argument(help="Its pictures: a folder, an archive, or a JSON manifest of a download.")],
    source: Annotated[
        str | None, typer.Option(help="Layout: folder, csv, mvtec, mvtec_loco, ... ; guessed for a folder without it.")
    ] = None,
    subfolder: Annotated[
        str | None, typer.Option(help="The product's folder inside PATH, if it has another name.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--set", help="Another key of the entry; repeatable.", metavar="KEY=VALUE")
    ] = None,
) -> None:
    """Check a product's pictures and add it to params.yaml.

    A folder is read as the pipeline will read it; nothing is written if something is wrong with it. Comments and
    formatting of params.yaml stay as they are.
    """
    from commands.add.product import add_product

    add_product(name, path, source=source, subfolder=subfolder, settings=option or [])


@app.command(epilog="Examples: oddpart enough bracket;  oddpart enough /data/bracket --json")
@verb
def enough(
    product: Annotated[
        str,
        typer.Argument(
            help="A key of `categories` in params.yaml, or a folder: its images/good, or else the pictures in it.",
            metavar="PRODUCT|FOLDER",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with shares from 0 to 1.")] = False,
) -> str:
    """Say whether a product's pictures are enough to learn from.

    Run `dvc repro split@PRODUCT` once before, or name a folder of good pictures. Nearest neighbours learn from 5, 10,
    20 ... and all of its normal pictures; a table shows what they find of synthetic defects in pictures that were held
    out, then follows a verdict in words. 10 pictures are the least; no test picture is used, nothing is written.
    """
    from commands.enough.report import show_enough

    return show_enough(product, as_json=as_json)


@app.command(epilog="Example: oddpart predict --category pin_tray photos more/a.png --output verdicts;  "
                    "oddpart predict bundles/pin_tray 'photos/*.png' --output verdicts;  "
                    "oddpart predict bundles/pin_tray --watch /camera --output verdicts")  # fmt: skip
@verb
def predict(
    images: options.Images,
    output: options.Output,
    category: options.Product = None,
    method: options.Method = None,
    overwrite: options.Overwrite = False,
    heatmaps: options.Heatmaps = False,
    store: options.OwnStore = None,
    station: options.Station = None,
    tag: options.TagsOfLine = None,
    watch: options.Watch = None,
    stay: options.Stay = False,
    settle: options.Settle = options.SETTLE,
    patience: options.Patience = options.PATIENCE,
    keep_days: options.KeepDays = None,
) -> Closing:
    """Score new pictures, by a product or by a bundle.

    Run `dvc repro` once before; a bundle of the stage export needs nothing else and no torch. Makes scores.csv (path,
    score, threshold, is_anomalous, display_score with 0.5 at the threshold, p_value, unsure, a column for each branch,
    explanations in words, size_note and kind_note where a picture is unlike the training images, heatmap, milliseconds,
    sha256, time, tags), the same rows as scores.jsonl, verdicts.sqlite (see docs/operate.md), with --heatmaps heatmaps/
    (blue is normal, red is anomalous), unreadable.csv (path, error), skipped.csv (path, reason: no image by its
    content, hidden, a link to a folder) and run.json (product, method, trained parts, counts). A branch's column is
    empty where the pipeline excluded it.

    Images are known by their content, whatever they are called. One that cannot be read does not stop the run; the exit
    code is then 2. Rows are written as they come, to a folder next to the output that takes its name when all are
    there; the next run goes on from one that was killed.

    With --watch only a bundle is named. A picture is judged once it is whole, and then moved into the folder's `done`.
    """
    from commands.predict.given import check_given
    from commands.predict.parts import check_trained, check_unwatched, check_watched, judged_by
    from commands.predict.running import Wishes
    from commands.verdicts.verdict import tags_of, this_station

    wishes = Wishes(output, overwrite, heatmaps, store, this_station(station), keep_days, tags_of(tag or []))
    if watch is not None:
        from commands.predict.dropping import Drop
        from commands.predict.watching import watch_with_bundle

        bundle = check_watched(images, category, method, overwrite=overwrite)
        return watch_with_bundle(bundle, Drop(watch, stay, settle, patience), wishes)
    check_unwatched(stay=stay, settle=settle, patience=patience, keep_days=keep_days)
    if category is None:
        category, folder, images = judged_by(images, method=method)
        if folder is not None:
            from commands.predict.bundled import predict_with_bundle

            return predict_with_bundle(folder, images, wishes)
    check_trained(category, method)  # said before torch is loaded, which takes seconds
    check_given(images)
    from commands.predict.scoring import predict_images

    return predict_images(images, wishes, category=category, method=method)


@app.command(epilog="Examples: oddpart serve bundles/pin_tray bundles/bottle --token-file /etc/oddpart/token;  "
                    "oddpart serve left=bundles/a right=bundles/b --insecure-loopback")  # fmt: skip
@verb
def serve(
    bundles: options.Bundles,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8000,
    token_file: options.TokenFile = None,
    insecure_loopback: options.InsecureLoopback = False,
    store: options.Store = "verdicts.sqlite",
    station: options.Station = None,
    threads: options.Threads = None,
    keep_days: options.KeepDays = None,
    max_body: options.MaxBody = 32,
    max_held: options.MaxHeld = 256,
    max_megapixels: options.MaxMegapixels = 50,
    max_pictures: options.MaxPictures = 16,
    queue: options.Queue = 32,
    timeout: options.Timeout = 30,
) -> str:
    """Serve bundles over HTTP, until SIGTERM.

    POST /products/NAME/predict judges pictures (a multipart form, or JSON with base64). GET /products, /healthz,
    /readyz, /metrics (Prometheus) and /docs tell about the service. A bearer token is asked for. SIGHUP, or POST
    /products/NAME/reload, takes a bundle that changed, without dropping a request. See docs/operate.md.
    """
    from commands.serve.running import Place
    from commands.serve.running import serve as serve_bundles
    from commands.serve.settings import MEGA, Limits

    place = Place(host, port, token_file, insecure_loopback, store, station, threads, keep_days)
    limits = Limits(
        round(max_body * MEGA), round(max_held * MEGA), round(max_megapixels * MEGA), max_pictures, queue,
        receiving=timeout, judging=timeout,
    )  # fmt: skip
    return serve_bundles(bundles, place, limits)


app.command(epilog=EXAMPLES)(history)


@app.command(epilog="Examples: oddpart verify artifacts/export/pin_tray/oddpart;  oddpart verify metrics")
@verb
def verify(
    folder: Annotated[Path, typer.Argument(help="A bundle, or metrics next to their scores.", metavar="FOLDER")],
) -> str:
    """Verify a bundle, or metrics by their scores.

    A bundle: checks the sha256 of every file, then judges the test pictures in it: each must get the score and the
    verdict that the pipeline gave it. Metrics (`metrics`, or the results of `make paper`): computes AUROC, average
    precision, F1 and false alarms from the scores of every test image again, in seconds, and prints their means. The
    exit code is 1 if anything differs.
    """
    from commands.verify import verify_folder

    return verify_folder(folder)


@app.command(epilog="Example: oddpart attention picture.png --category pin_tray --output attention --at 0.3 0.7")
@verb
def attention(
    image: Annotated[Path, typer.Argument(help="The picture.")],
    category: Category,
    output: Annotated[Path, typer.Option(help="Folder to make for the results.", metavar="FOLDER")],
    at: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Place to ask about, as shares of width and height; the most anomalous one without it.", metavar="X Y"
        ),
    ] = None,  # fmt: skip
) -> str:
    """Show where the global student looks in a picture.

    The global student of aecsad has blocks of self-attention. Makes attention.png (a row for each block: the
    picture with the cell that is asked, what that cell takes, what all cells take together) and attention.npz (an
    array for each block, for example encoder_16x16 of shape 16 x 16 x 16 x 16: what the cell of the first two
    indices takes from the cell of the last two).
    """
    from commands.attention import show_attention

    return show_attention(image, category=category, output=output, at=at)


@app.command(epilog="Example: oddpart compare HEAD workspace --format markdown --output comparison.md")
@verb
def compare(
    old: Annotated[str, typer.Argument(help="Commit, branch, tag or experiment, or `workspace`.")],
    new: Annotated[str, typer.Argument(help="The same, to compare with it.")],
    format: Annotated[Format, typer.Option(help="How the result is written.")] = Format.TEXT,
    output: Annotated[Path | None, typer.Option(help="File for the result, which is printed without it.")] = None,
    tolerance: Annotated[float, typer.Option(help="Percentage points up to which a difference is noise.")] = 0.0,
    confidence: Annotated[float, typer.Option(help="Of the intervals, between 0 and 1.")] = 0.95,
    metrics: Metrics = Path("metrics"),
) -> str:
    """Compare the evaluations of two commits.

    Shows each metric's difference, its interval, and a verdict: gain and drop (both significant), noise, missing
    (was there, is gone) and added. Files that git tracks are enough. The exit code is 0 whatever the verdicts are.
    """
    from commands.compare.comparison import compare_revisions

    return compare_revisions(
        old, new, form=format, output=output, tolerance=tolerance, confidence=confidence, metrics=str(metrics)
    )


@app.command(epilog="Example: oddpart seeds HEAD seed-1 seed-2")
@verb
def seeds(
    revisions: Annotated[list[str], typer.Argument(help="Commits, branches, tags or DVC experiments.")],
) -> str:
    """Show mean and spread of several runs.

    For example of three seeds; and on how many test images their verdicts differ.
    """
    from commands.seeds import show_seeds

    return show_seeds(revisions)


@app.command(epilog="Example: oddpart table")
@verb
def table(metrics: Metrics = Path("metrics")) -> str:
    """Print the results of all products and methods."""
    from commands.table import show_table

    return show_table(metrics)


@app.command(epilog="Examples: oddpart published --runs work/paper/results/paper;  "
                    "oddpart published madclip my_part brain=BrainMRI")  # fmt: skip
@verb
def published(
    method: Annotated[
        str, typer.Argument(help="inctrl or madclip; with --runs a method of ours, aecsad without it.")
    ] = "",
    pairs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Products, joined by + for a mean, and the published data set that each is.",
            metavar="PRODUCT[=DATASET]",
        ),
    ] = None,  # fmt: skip
    runs: Annotated[
        Path | None, typer.Option(help="MVTec LOCO AD: a folder of runs, each with PRODUCT.json.", metavar="FOLDER")
    ] = None,
    metrics: Metrics = Path("metrics"),
) -> str:
    """Print our numbers next to the published ones.

    With --runs: image AUROC on MVTec LOCO AD next to CSAD's and AeCSAD's; each run is a folder with the evaluations
    of its products, as `make paper` leaves them.

    With products: few-shot results of inctrl or madclip, the mean over repetitions with its 95 % interval, next to
    the publication's tables. "trained on/judged on" names a row of MadCLIP's cross-dataset table. A published mean
    of several products takes as many of ours, joined by +.
    """
    if runs is not None:
        from commands.published.loco import show_runs

        return show_runs(runs, method=method or "aecsad")
    from commands.published.few_shot import show_pairs

    return show_pairs(method, pairs or [], metrics=metrics)


@app.command(epilog="Examples: oddpart weights --check;  oddpart weights --fetch --parts sam_vit_b")
@verb
def weights(
    more: Annotated[list[str] | None, typer.Argument(help="Parts, as after --parts.", metavar="PART")] = None,
    check: Annotated[bool, typer.Option("--check", help="Fetch nothing, and fail where a file is not ready.")] = False,
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch what is missing, resume what was interrupted.")] = False,
    parts: Annotated[
        list[str] | None,
        typer.Option(help="Only these entries of the manifest; all but the smaller sizes of SAM without it."),
    ] = None,
    mirror: Annotated[Path | None, typer.Option(help="Folder to copy from, instead of the network.")] = None,
    manifest: Annotated[Path, typer.Option(help="List of the files.")] = WEIGHTS,
) -> str:
    """Check or fetch the weights of the proposer `foundation`.

    Lists every file with address, size, sha256, licence and state. Proxies come from http_proxy, https_proxy and
    no_proxy. Afterwards no network is needed.
    """
    from commands.weights import provide_weights

    chosen = [*(parts or []), *(more or [])]
    return provide_weights(manifest, chosen, check=check, fetch=fetch, mirror=mirror)


if __name__ == "__main__":
    main()
