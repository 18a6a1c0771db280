"""Propose the parts that normal training images consist of, without labels: by classical means or foundation models."""

from collections.abc import Sequence
from functools import partial

from stages.aecsad.pseudo_label.background_difference import propose_by_background
from stages.aecsad.pseudo_label.by_foundation import propose_by_foundation
from stages.aecsad.pseudo_label.choice import propose
from stages.aecsad.pseudo_label.dense_clusters import propose_by_clusters
from stages.aecsad.pseudo_label.graph_merging import attempts_at_merging
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.aecsad.pseudo_label.prompts import load_prompts
from stages.aecsad.pseudo_label.tag_report import write_tags
from stages.core.artifacts.choices import write_choice
from stages.core.artifacts.component_maps import ComponentMaps, write_component_maps
from stages.core.artifacts.images import read_images
from stages.core.frozen_encoder.image_tensors import load_stack
from stages.core.running.params import EncoderParams, load_params, load_value
from stages.core.running.stage import parse_paths, stage_entry
from stages.core.seeding import seed_everything


@stage_entry
def main(argv: Sequence[str]) -> str:
    reads, writes = ["images", "image_files", "weights"], ["component_maps", "choice", "tags"]
    paths = parse_paths(argv, reads=reads, writes=writes, values=["category"], about=__doc__)
    params = load_params(PseudoLabelParams, section="aecsad.pseudo_label")
    encoder = load_params(EncoderParams, section="encoder")
    prompts = load_prompts(paths.category)
    seed_everything(seed := load_value("seed"))
    table = read_images(paths.images).query("split == 'train'")
    images = load_stack(paths.image_files, table["file"], size=encoder.image_size)
    ground, dense = params.background_difference.model_dump(), params.dense_clusters.model_dump()
    area, files = params.min_area, (paths.image_files, table["file"].tolist(), paths.weights)
    proposal, choice = propose(
        params.proposer,
        partial(propose_by_background, images, min_area=area, **ground),
        attempts_at_merging(images, min_area=area, **params.graph_merging.model_dump()),
        partial(propose_by_clusters, images, encoder.name, min_area=area, seed=seed, **dense),
        partial(propose_by_foundation, *files, prompts, params.foundation, size=encoder.image_size, min_area=area),
        min_count_agreement=params.min_count_agreement,
        max_count_variation=params.max_count_variation,
        max_part=params.background_difference.window**2 / 2,
    )
    write_component_maps(paths.component_maps, ComponentMaps(tuple(table["image_id"]), proposal.values, proposal.kinds))
    write_choice(paths.choice, choice.as_json())
    write_tags(paths.tags, proposal.tags, proposer=choice.proposer)
    return f"{len(images)} images, {choice.count_median:g} parts in a typical one by {choice.proposer}"


if __name__ == "__main__":
    main()
