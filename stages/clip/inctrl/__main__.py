"""Score images by their residuals to a few normal ones, with heads trained on other categories (InCTRL)."""

from collections.abc import Sequence

from stages.clip.inctrl.params import Auxiliary, InctrlParams
from stages.clip.inctrl.run import describe_run, fit_and_score
from stages.clip.model.params import ObjectParams
from stages.core.io.decision import write_choice
from stages.core.io.result import write_result
from stages.core.io.tables import image_files, read_images
from stages.core.io.weights import write_weights
from stages.core.run.params import load_params, load_seed, load_value, validate
from stages.core.run.stage import parse_paths, stage_entry

WRITES = ("scores", "model", "choice")


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["inputs", "pools"], writes=WRITES, values=["category"], about=__doc__)
    params = load_params(InctrlParams, section="inctrl")
    auxiliary = validate(Auxiliary, load_value("methods.inctrl.auxiliary"), where="methods.inctrl.auxiliary").root
    where = f"methods.inctrl.categories.{paths.category}"
    target = validate(ObjectParams, load_value(where), where=where)
    run = fit_and_score(
        read_images(paths.inputs), image_files(paths.inputs), paths.pools, auxiliary, target, params,
        category=paths.category, seed=load_seed(),
    )  # fmt: skip
    write_choice(paths.choice, describe_run(run, params, target))
    write_weights(paths.model, run.heads.state_dict(), {**run.heads.arguments, "images": run.trained_on})
    write_result(paths.scores, run.result)
    return f"{len(run.result.scores)} images scored with {params.shots} prompts, {params.repetitions} repetitions"


if __name__ == "__main__":
    main()
