"""What a run that was killed left in a scheduled clone: what it finished is kept, the rest is put back.

DVC deletes the outputs of a stage before it runs it, and rewrites dvc.lock in place after it. So a kill, a reboot or a
cancel leaves changes that nobody committed, perhaps half a dvc.lock, and outputs that DVC knows nothing of, over which
`dvc pull` stumbles. The next run must not need a person for that. DVC's run-cache alone would not do: it keeps no stage
whose outputs git tracks beside metrics and plots (evaluations), and half a dvc.lock stops DVC before it looks there.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from flows import git
from flows.batch_size import is_halved, params_file_of
from flows.parts import merge_locks
from flows.pipeline import LOCK, finished_stages, parse_lock, read_lock, read_stages, remove_unknown_outputs, write_lock
from flows.plan import Stage
from flows.run_stages import Logger
from stages.core.run.errors import UserError


def tidy(clone: Path, logger: Logger) -> None:
    """Commit the stages that a killed run finished, and make all else as in the last commit.

    Raises:
        UserError: there are changes that no run can have made: nothing is touched.
    """
    changed = git.changes(clone)
    if changed:
        stages = _stages(clone, lock_may_be_cut=LOCK in changed)
        halved = [path for path in changed if _was_halved(clone, path, stages)]
        recorded = {path for path in changed if any(_is_recorded(path, stage) for stage in stages.values())}
        git.refuse_dirty(clone, but={LOCK, *halved, *recorded})
        finished = _keep_finished(clone) if LOCK in changed else []
        kept = [path for path in recorded if any(_is_recorded(path, stages[name]) for name in finished)]
        left = [LOCK, *halved, *kept] if finished else halved
        git.discard(clone, changed.keys() - set(left))
        git.commit(clone, left, _message(finished, halved))
        logger.warning("a run before was broken off; kept is what it finished: %s", ", ".join(finished) or "nothing")
    removed = remove_unknown_outputs(clone)
    if removed:
        logger.warning("a stage before did not finish; removed is what it wrote: %s", ", ".join(removed))


def _stages(clone: Path, *, lock_may_be_cut: bool) -> Mapping[str, Stage]:
    """The stages; half a dvc.lock, which nobody can read, is given up for the committed one."""
    try:
        return read_stages(clone)
    except UserError:
        if not lock_may_be_cut:
            raise
        git.discard(clone, [LOCK])
        return read_stages(clone)


def _is_recorded(path: str, stage: Stage) -> bool:
    """Whether a path is, or lies in, an output of the stage that git keeps."""
    return any(Path(path).is_relative_to(recorded) for recorded in stage.recorded)


def _was_halved(clone: Path, path: str, stages: Mapping[str, Stage]) -> bool:
    """Whether a params file differs from the committed one by halved batch sizes only."""
    params = {stage.batch_size for stage in stages.values() if stage.batch_size is not None}
    keys = sorted(param.rpartition(":")[2] for param in params if params_file_of(param) == path)
    if not keys or not (clone / path).is_file():
        return False
    before = git.committed(clone, path)
    return before is not None and is_halved(before, (clone / path).read_text(encoding="utf-8"), keys)


def _keep_finished(clone: Path) -> list[str]:
    """Make dvc.lock the committed one with the finished stages' new entries; it may lack others, cut off. Gives these.

    A stage is finished if its entry is new and its outputs are what the entry says.
    """
    now, before = read_lock(clone), parse_lock(git.committed(clone, LOCK) or "")
    known = before.get("stages") or {}
    new = [name for name, entry in (now.get("stages") or {}).items() if entry != known.get(name)]
    finished = finished_stages(clone, new)
    merged = merge_locks(before, {"": now}, {"": finished})
    if merged != now and finished:
        write_lock(clone, merged)
    return finished


def _message(finished: Iterable[str], halved: Iterable[str]) -> str:
    subject = "nightly: what a run that was broken off had finished"
    return "\n".join([subject, "", *(f"{name}: ran" for name in finished), *(f"{path}: halved" for path in halved)])
