"""Check one category's images and masks, divide them, and tell apart what methods and what judges may know."""

from collections.abc import Sequence

from stages.core.io.truth import write_truth
from stages.core.run.stage import parse_paths, stage_entry
from stages.split.checks import check_all, refuse, settle_equal
from stages.split.inspect_files import inspect_files
from stages.split.near_duplicates import find_groups
from stages.split.rule import assign_splits
from stages.split.sources import READERS, load_split_params
from stages.split.write import (
    build_truth,
    in_words,
    log_remarks,
    write_counts,
    write_image_files,
    write_image_table,
    write_mask_files,
)

WRITES = ("images", "image_files", "truth", "mask_files", "counts")


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["dataset"], writes=WRITES, values=["category"], about=__doc__)
    params = load_split_params(paths.category)
    reading = READERS[params.source](paths.dataset, **params.reader_options)
    files = inspect_files(paths.dataset, reading.records)
    kept, equal = settle_equal(reading.records, files, leave_out=params.equal_files == "leave_out")
    alike = find_groups(files, **params.near_duplicates.model_dump())
    assigned = assign_splits(kept, alike, ratios=params.ratios, resplit=params.resplit, seed=params.seed)
    records, checks = assigned.records, check_all(assigned.records, files, reading.defect_names)
    refuse(paths.dataset, [*reading.findings, *assigned.complaints, *files.findings, *checks])
    log_remarks(reading, records, files, assigned.together, equal)
    truth = build_truth(records, files, reading.defect_names)
    write_image_table(paths.images, truth)
    write_image_files(paths.image_files, paths.dataset, truth, seed=params.seed)
    write_truth(paths.truth, truth)
    write_mask_files(paths.mask_files, paths.dataset, records, files)
    write_counts(paths.counts, truth, left_out=reading.left_out, together=assigned.together, equal=equal)
    return f"{len(truth)} images of {paths.category}{in_words(assigned.together)}"


if __name__ == "__main__":
    main()
