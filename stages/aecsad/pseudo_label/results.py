"""The files of the pseudo_label room."""

from collections.abc import Sequence
from pathlib import Path

from stages.aecsad.pseudo_label.choice import Chosen, trial_rows
from stages.aecsad.pseudo_label.tag_report import write_tags
from stages.core.artifacts.choices import write_choice
from stages.core.artifacts.component_maps import ComponentMaps, write_component_maps
from stages.core.running.atomic import replacing_folder


def write_results(
    chosen: Chosen, image_ids: Sequence[str], *, component_maps: Path, trials: Path, choice: Path, tags: Path
) -> None:
    """Write the maps of all images, those of the trials (a file a proposer), the choice, and the words for a person."""
    maps = ComponentMaps(tuple(image_ids), chosen.proposal.values, chosen.proposal.kinds)
    write_component_maps(component_maps, maps)
    tried = tuple(image_ids[row] for row in trial_rows(len(image_ids)))
    with replacing_folder(trials) as folder:
        for name, trial in chosen.trials.items():
            write_component_maps(folder / f"{name}.npz", ComponentMaps(tried, trial.values, trial.kinds))
    write_choice(choice, chosen.choice.as_json())
    write_tags(tags, chosen.proposal.tags, proposer=chosen.choice.proposer)
