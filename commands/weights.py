"""Check or fetch the published weights that the proposer `foundation` needs.

`--check` lists every file with address, size, sha256, licence and state; `--fetch` brings what is missing, resumes what
was interrupted, and verifies all. Proxies come from http_proxy, https_proxy and no_proxy. Afterwards no network is
needed.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from stages.aecsad.pseudo_label.foundation.weights import obtain, problem_of, read_weight_files, record, require
from stages.core.run.stage import command_entry

LOG = logging.getLogger(__name__)


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="only look, and fail where a file is not ready")
    action.add_argument("--fetch", action="store_true", help="bring what is missing")
    parser.add_argument("--mirror", type=Path, help="take the files from this folder instead of the network")
    parser.add_argument("--manifest", type=Path, default=Path("data/foundation_weights.json"))
    parser.add_argument("--parts", nargs="+", help="only these entries of the manifest, for instance sam_vit_b")
    options = parser.parse_args(argv)
    manifest = read_weight_files(options.manifest)
    parts = options.parts or [part for part in manifest.files if part not in ("sam_vit_b", "sam_vit_l")]
    if unknown := [part for part in parts if part not in manifest.files]:
        parser.error(f"{options.manifest} has no {unknown[0]}; it has {', '.join(manifest.files)}")
    if options.fetch:
        record(options.manifest, manifest, {part: obtain(manifest, part, mirror=options.mirror) for part in parts})
        manifest = read_weight_files(options.manifest)
    for part in parts:
        entry = manifest.files[part]
        state = problem_of(manifest, part) or f"{manifest.path(part)} is ready"
        LOG.info(
            "%s: %s; %s; %s; sha256 %s; licence: %s", part, state, entry.url, entry.size, entry.sha256, entry.licence
        )
    require(manifest, parts)
    return f"{len(parts)} files ready"


if __name__ == "__main__":
    main()
