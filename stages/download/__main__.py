"""Bring one category's files, as their source lays them out, into the data set's folder."""

from collections.abc import Sequence
from pathlib import Path

from stages.core.run.stage import parse_paths, stage_entry
from stages.download.category import load_category
from stages.download.choose import choose_files
from stages.download.source import locate, open_source, write_dataset


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, writes=["dataset"], values=["category"], about=__doc__)
    category = load_category(paths.category)
    with open_source(locate(Path(category.path)), follow_links=category.links == "follow") as files:
        chosen = choose_files(
            files,
            source=category.source,
            key=paths.category,
            subfolder=category.subfolder,
            elpv_kind=category.elpv_kind,
        )
        write_dataset(paths.dataset, chosen, crop_fundus=category.crops_fundus)
    return f"{len(chosen)} files of {paths.category}"


if __name__ == "__main__":
    main()
