"""What the report is told."""

from stages.core.run.params import Params


class ReportParams(Params):
    """Section `report`.

    Attributes:
        stages_of_method: for each method, in the order of the tables, the stages whose seconds make up its cost; names
            as in `artifacts/cost/<category>/<stage>.json`, or `folder/stage` of one that works for several categories:
            the whole of its cost counts for each.
        off_by_default: of these methods, those that run only where params.yaml switches them on.
    """

    stages_of_method: dict[str, list[str]]
    off_by_default: list[str]
