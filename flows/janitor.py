"""Flow `janitor`: set runs whose process was killed, which Prefect shows as Running for good, to Crashed."""

from prefect import flow, get_run_logger

from flows.site.clone import clone_folder, dead_holder
from flows.site.recovery import mark_crashed


@flow(name="janitor", persist_result=False)
def janitor() -> None:
    """Look after the clone. The next run does so as well, but a dead one may keep it from starting."""
    mark_crashed(dead_holder(clone_folder()), get_run_logger())
