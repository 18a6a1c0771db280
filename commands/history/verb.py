"""The verb `oddpart history` and its options; what answers is imported when it is called."""

from enum import StrEnum
from typing import Annotated

from typer import Option

from commands.options import Store
from commands.verbs import verb

EXAMPLES = (
    "Examples: oddpart history --product pin_tray --since 7d --rejected;  "
    "oddpart history --store verdicts/verdicts.sqlite --lot 123;  oddpart history --by bundle --by station --summary"
)


class Form(StrEnum):
    """How `oddpart history` writes its answer."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


OfProduct = Annotated[str | None, Option(help="Verdicts on this product.", metavar="NAME")]
WHEN = "2026-11-30, 2026-11-30T14:05 (UTC), or how long ago: 90m, 12h, 7d, 2w"
Since = Annotated[str | None, Option(help=f"From then on: {WHEN}.", metavar="TIME")]
Until = Annotated[str | None, Option(help="Until then, a date to its end; as --since.", metavar="TIME")]
Lot = Annotated[str | None, Option(help="The same as --tag lot=VALUE.", metavar="VALUE")]
WithTag = Annotated[list[str] | None, Option("--tag", help="Verdicts with this tag; repeatable.", metavar="KEY=VALUE")]
Rejected = Annotated[bool, Option("--rejected", help="List rejected pictures only.")]
Unsure = Annotated[bool, Option("--unsure", help="List unsure verdicts only.")]
By = Annotated[
    list[str] | None,
    Option(
        help="Count by product, day, bundle, method, station, source or the key of a tag; repeatable. "
        "Product, lot and day without it.",
        metavar="WHAT",
    ),
]
SummaryOnly = Annotated[bool, Option("--summary", help="Only the counts.")]
ListOnly = Annotated[bool, Option("--list", help="Only the verdicts one by one; CSV has them without --summary.")]
HistoryFormat = Annotated[Form, Option(help="How the answer is written.")]
Limit = Annotated[int | None, Option(help="List so many, the newest; 20 in a table, else all without it.", metavar="N")]
PruneDays = Annotated[float | None, Option("--keep-days", help="First delete what is older.", metavar="DAYS")]
PruneRows = Annotated[int | None, Option("--keep-rows", help="First delete all but the newest.", metavar="N")]


@verb
def history(
    store: Store = "verdicts.sqlite",
    product: OfProduct = None,
    since: Since = None,
    until: Until = None,
    lot: Lot = None,
    tag: WithTag = None,
    rejected: Rejected = False,
    unsure: Unsure = False,
    by: By = None,
    summary: SummaryOnly = False,
    only_list: ListOnly = False,
    format: HistoryFormat = Form.TABLE,
    limit: Limit = None,
    keep_days: PruneDays = None,
    keep_rows: PruneRows = None,
) -> str:
    """Answer since when and in which lots pictures were rejected.

    Counts the verdicts of a store (judged, rejected, rate, unsure, first and last rejected) by product, lot and day,
    and lists the newest. --rejected and --unsure choose what is listed; all verdicts count. Nothing is deleted without
    --keep-days or --keep-rows.
    """
    from commands.history.asking import Wanted, moment_of
    from commands.history.showing import Layout, show_history
    from commands.history.summary import BY
    from commands.verdicts.verdict import tags_of

    wanted = Wanted(
        product,
        None if since is None else moment_of(since, "--since"),
        None if until is None else moment_of(until, "--until", end=True),
        tags_of([*(tag or []), *([] if lot is None else [f"lot={lot}"])]),
        rejected, unsure,
    )  # fmt: skip
    layout = Layout(by or BY, format, summary, only_list, limit)
    return show_history(store, wanted, layout, keep_days=keep_days, keep_rows=keep_rows)
