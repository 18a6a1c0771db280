"""Export a product's methods as bundles, which judge new pictures without torch, and hold each against the pipeline."""

from collections.abc import Sequence
from pathlib import Path

from stages.core.run.atomic import replacing_folder
from stages.core.run.methods import methods_of
from stages.core.run.params import load_value
from stages.core.run.stage import parse_paths, stage_entry
from stages.export.exporting import export_methods, exportable, read_product, wanted_variants
from stages.export.recipes import Roots

READS, VALUES = ("inputs", "scores", "evaluation", "metrics"), ("category", "trained")


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Run the stage and return its closing counts."""
    paths = parse_paths(argv, reads=READS, writes=["bundles"], values=VALUES, about=__doc__)
    category = paths.category
    variants, confidence = wanted_variants(category), load_value("evaluation.unsure_confidence")
    methods = exportable(methods_of(category), category=category)
    roots = Roots(category, Path(paths.trained), paths.scores, paths.evaluation)
    source = load_value(f"categories.{category}")["source"]
    product = read_product(roots, paths.inputs, paths.metrics, source=source)
    with replacing_folder(paths.bundles) as temporary:
        found = export_methods(temporary, methods, product, variants, confidence=confidence)
    return "; ".join(f"{name}: {outcome}" for name, outcome in found.items())


if __name__ == "__main__":
    main()
