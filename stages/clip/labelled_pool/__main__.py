"""Hand out labels that a method may learn from: of normal training images and of anomalies set aside, never of test."""

from collections.abc import Sequence

from stages.clip.labelled_pool.choose import choose_pool, describe
from stages.clip.model.labelled_pool import write_labelled_pool
from stages.core.io.tables import image_files, read_images
from stages.core.io.truth import mask_files, read_truth
from stages.core.run.stage import parse_paths, stage_entry


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["inputs", "truth", "judged"], writes=["pool"], about=__doc__)
    pool = choose_pool(read_truth(paths.truth), read_images(paths.judged))
    write_labelled_pool(paths.pool, pool, images=image_files(paths.inputs), masks=mask_files(paths.truth))
    return describe(pool)


if __name__ == "__main__":
    main()
