"""Propose the parts that normal training images consist of, without labels: by classical means or foundation models."""

from collections.abc import Sequence
from functools import partial

from stages.aecsad.pseudo_label.choice import load_pictures, propose, summarise, write_results
from stages.aecsad.pseudo_label.classical.propose import classical_proposers
from stages.aecsad.pseudo_label.foundation.prompts import load_prompts
from stages.aecsad.pseudo_label.foundation.propose import propose_by_foundation
from stages.aecsad.pseudo_label.judging import judge_proposers
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.aecsad.pseudo_label.parts import find_parts
from stages.core.encoder.device import seed_everything
from stages.core.io.tables import MOST_TRAINED, image_files, read_images
from stages.core.run.params import EncoderParams, load_params, load_seed
from stages.core.run.stage import parse_paths, stage_entry


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Run the stage and return its closing counts."""
    reads, writes = ["inputs", "weights"], ["output", "choice"]
    paths = parse_paths(argv, reads=reads, writes=writes, values=["category"], about=__doc__)
    params = load_params(PseudoLabelParams, section="aecsad.pseudo_label")
    encoder = load_params(EncoderParams, section="encoder")
    prompts = load_prompts(paths.category)
    seed_everything(seed := load_seed())
    table, folder = read_images(paths.inputs, most_training=MOST_TRAINED), image_files(paths.inputs)
    train, pictures = load_pictures(table, folder, size=encoder.image_size)
    by_foundation = partial(
        propose_by_foundation, folder, train["file"].tolist(), paths.weights, prompts, params.foundation,
        size=encoder.image_size, min_area=params.min_area,
    )  # fmt: skip
    judge = partial(judge_proposers, encoder_name=encoder.network, seed=seed)
    chosen = propose(
        pictures, classical_proposers(params, encoder.network, seed=seed), by_foundation, judge, params, seed=seed
    )
    image_ids = train["image_id"].tolist()
    parts = find_parts(chosen, pictures, params, image_ids=image_ids)
    write_results(paths.output, chosen, parts, image_ids, choice=paths.choice)
    typical = summarise(chosen.proposal.values).count_median
    return f"{len(train)} images, {typical:g} parts in a typical one by {chosen.choice.proposer}"


if __name__ == "__main__":
    main()
