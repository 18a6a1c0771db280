"""Check a product's images and masks, divide them, and separate what methods may know from what only judges may."""

from collections.abc import Sequence

from stages.core.run.stage import parse_paths, stage_entry
from stages.split.checks import check_all, refuse, settle_equal
from stages.split.grey_range import choose_grey_range
from stages.split.health import measure_health
from stages.split.history import log_moved
from stages.split.inspect_files import inspect_files
from stages.split.near_duplicates import find_groups
from stages.split.rotation import assign_folds, describe, log_folds
from stages.split.rule import assign_splits
from stages.split.sources import load_split_params, read_source
from stages.split.write import build_truth, in_words, log_remarks, write_counts, write_inputs, write_truth_folder

WRITES = ("inputs", "truth", "counts")


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["dataset"], writes=WRITES, values=["category"], about=__doc__)
    params = load_split_params(paths.category)
    reading = read_source(paths.dataset, params)
    files = inspect_files(paths.dataset, reading.records)
    kept, equal = settle_equal(reading.records, files, excluded=params.equal_files == "exclude")
    duplicates = find_groups(files.hashes, files.contents, params.near_duplicates)
    assigned = assign_splits(kept, duplicates, ratios=params.ratios, resplit=params.resplit, seed=params.seed)
    records = assigned.records
    checks = check_all(records, files, reading.defect_names, together=assigned.together, ratios=assigned.ratios)
    refuse(paths.dataset, [*reading.findings, *assigned.complaints, *files.findings, *checks])
    log_remarks(reading, records, files, assigned.together, equal)
    log_folds(folds := assign_folds(records, duplicates, up_to=params.rotate_up_to, seed=params.seed))
    truth = build_truth(records, files, reading.defect_names)
    health = measure_health(truth, records, files, params.near_duplicates, params.data_health) | describe(folds)
    grey_range = choose_grey_range(records, files.extents, given=params.given_range)
    write_inputs(paths.inputs, paths.dataset, truth, folds, grey_range=grey_range, deep=files.extents, seed=params.seed)
    write_truth_folder(paths.truth, paths.dataset, truth, health, records=records, files=files)
    write_counts(paths.counts, truth, folds, excluded=reading.excluded, together=assigned.together, equal=equal)
    log_moved(paths.category, truth)
    return f"{len(truth)} images of {paths.category}{in_words(assigned.together)}"


if __name__ == "__main__":
    main()
