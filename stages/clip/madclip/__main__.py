"""Score images with adapters and texts learned from a few normal and anomalous ones (MadCLIP)."""

from collections.abc import Sequence

from stages.clip.madclip.params import MadclipParams, TargetParams
from stages.clip.madclip.run import describe_run, train_and_score
from stages.core.io.decision import write_choice
from stages.core.io.result import write_result
from stages.core.io.tables import image_files, read_images
from stages.core.io.weights import write_weights
from stages.core.run.params import load_params, load_seed, load_value, validate
from stages.core.run.stage import parse_paths, stage_entry

WRITES = ("scores", "model", "choice")


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["inputs", "pool"], writes=WRITES, values=["category"], about=__doc__)
    params = load_params(MadclipParams, section="madclip")
    where = f"methods.madclip.categories.{paths.category}"
    target = validate(TargetParams, load_value(where), where=where)
    run = train_and_score(
        read_images(paths.inputs), image_files(paths.inputs), paths.pool, target, params,
        category=paths.category, seed=load_seed(),
    )  # fmt: skip
    write_choice(paths.choice, describe_run(run, params, target))
    write_weights(paths.model, run.network.state_dict(), run.network.arguments)
    write_result(paths.scores, run.result)
    return f"{len(run.result.scores)} images scored with {params.shots} shots, {params.repetitions} repetitions"


if __name__ == "__main__":
    main()
