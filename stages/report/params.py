"""What the report is told."""

from stages.core.running.params import Params


class ReportParams(Params):
    """Section `report`.

    Attributes:
        rooms_of_method: for each method, in the order of the tables, the rooms whose seconds make up its cost; names
            as in `artifacts/cost/<category>/<room>.json`, or `folder/room` of a room that works for several categories:
            the whole of its cost counts for each.
        off_by_default: of these methods, those that run only where params.yaml switches them on.
    """

    rooms_of_method: dict[str, list[str]]
    off_by_default: list[str]
