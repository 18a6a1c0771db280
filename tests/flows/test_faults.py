"""Kills, restarts and a full disk: what is left is found by the next run, and nothing is lost or run twice."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.serve import answers, free_port
from flows.site.access import CLIENT_AUTH, SERVER_AUTH, auth_string
from flows.site.clone import LOCK_FILE
from tests.flows.site import Site, processes, wait_for
from tests.flows.toy import Toy

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site") / "prefect", free_port())
    site.start()
    yield site
    site.close()


def change(toy: Toy) -> None:
    """Make the stages of product a, and the report, out of date."""
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})


def hang(toy: Toy, stage: str) -> Path:
    """Let a stage sleep until the file is gone and its process killed; return the file that shows its start."""
    toy.control(f"{stage}.sleep", "3000")
    return toy.root / f"control/{stage}.started"


def behave(toy: Toy) -> None:
    for file in (toy.root / "control").glob("*.sleep"):
        file.unlink()


def slot_is_free(toy: Toy) -> bool:
    handle = os.open(toy.root.parent / "slots/compute-0.lock", os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


def clone_is_held(toy: Toy) -> bool:
    with (toy.root / LOCK_FILE).open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_killed_flow_leaves_no_process_and_is_set_to_crashed(site: Site, toy: Toy) -> None:
    change(toy)
    started = hang(toy, "train@a")
    flow = site.start_flow(toy)
    wait_for(started.exists, "train@a runs")
    killed = site.newest_run()
    flow.kill()
    wait_for(lambda: not processes("stage.py", toy.root), "the stage is gone", 30)
    wait_for(lambda: slot_is_free(toy), "its slot is free", 30)
    assert site.state(killed["id"]) == "Running"  # Prefect cannot know
    behave(toy)
    toy.started()
    out = site.command(toy, "flows.reproduce")
    assert "is set to Crashed" in out
    assert site.state(killed["id"]) == "Crashed"
    assert toy.started() == {"train@a", "score@a", "report"}  # prepare@a was finished


def test_the_night_after_a_kill_runs_only_what_was_not_finished(site: Site, toy: Toy) -> None:
    (toy.root.parent / "store").mkdir()
    toy.dvc("remote", "add", "-q", "--default", "store", str(toy.root.parent / "store"))
    toy.dvc("push", "-q")
    change(toy)
    started = hang(toy, "train@a")
    night = site.start_flow(toy, "nightly")
    wait_for(started.exists, "train@a runs")
    night.kill()
    wait_for(lambda: not processes("stage.py", toy.root), "the stage is gone", 30)
    assert toy.git("status", "--porcelain") != ""
    (toy.root / "artifacts/train@a.txt").write_text("4")  # half of it
    behave(toy)
    assert toy.started() == {"prepare@a", "train@a"}
    night = site.start_flow(toy, "nightly")
    output, _ = night.communicate(timeout=600)
    assert night.returncode == 0, output
    assert toy.started() == {"train@a", "score@a", "report"}
    assert toy.git("log", "-1", "--format=%s").strip() == "nightly: 3 stages ran"
    assert "prepare@a: ran" in toy.git("log", "-2", "--format=%b")
    assert toy.git("status", "--porcelain") == ""
    assert (toy.value("report"), toy.git("tag", "--list").strip()) == (71, "baseline")


def test_ctrl_c_ends_the_stages_before_it_frees_the_clone(site: Site, toy: Toy) -> None:
    change(toy)
    started = hang(toy, "train@a")
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # else the flow might inherit that it is ignored
    try:
        flow = site.start_flow(toy)
    finally:
        signal.signal(signal.SIGINT, handler)
    wait_for(started.exists, "train@a runs")
    assert processes("stage.py", toy.root)
    flow.send_signal(signal.SIGINT)
    wait_for(lambda: not clone_is_held(toy), "the clone is free", 60)
    assert not processes("stage.py", toy.root)
    output, _ = flow.communicate(timeout=60)
    assert flow.returncode != 0, output
    assert slot_is_free(toy)
    behave(toy)
    toy.started()
    site.command(toy, "flows.reproduce")
    assert toy.started() == {"train@a", "score@a", "report"}


def test_a_killed_worker_ends_its_run_and_the_janitor_makes_way(site: Site, toy: Toy) -> None:
    change(toy)
    started = hang(toy, "train@a")
    for pool in ("oddpart", "oddpart-shards"):
        site.command(toy, "prefect", "work-pool", "create", pool, "--type", "process", "--overwrite")
    site.command(toy, "prefect", "--no-prompt", "deploy", "--all")
    worker = site.start_worker(toy, "oddpart")
    run = site.run("reproduce/reproduce")
    wait_for(started.exists, "train@a runs")
    # a second schedule that fires meanwhile is refused, not queued up
    assert site.wait_for_state(site.run("reproduce/reproduce"), "Cancelled")
    (itself,) = [process for process in processes("worker start", toy.root) if process != worker.pid]
    os.kill(itself, signal.SIGKILL)
    wait_for(lambda: not processes("stage.py", toy.root), "the stage is gone", 60)
    wait_for(lambda: slot_is_free(toy), "its slot is free", 60)
    assert site.state(run) == "Running"
    behave(toy)
    site.start_worker(toy, "oddpart")
    site.wait_for_state(site.run("janitor/janitor"), "Completed")
    assert site.state(run) == "Crashed"
    site.wait_for_state(site.run("reproduce/reproduce"), "Completed")
    assert toy.value("report") == 71


def test_a_server_that_is_restarted_does_not_stop_a_run(site: Site, toy: Toy) -> None:
    change(toy)
    toy.control("train@a.sleep", "15")
    flow = site.start_flow(toy)
    wait_for((toy.root / "control/train@a.started").exists, "train@a runs")
    run = site.newest_run()["id"]
    site.stop_server()
    assert not answers(site.port)
    site.start()
    output, _ = flow.communicate(timeout=600)
    assert flow.returncode == 0, output
    assert toy.value("report") == 71
    site.wait_for_state(run, "Completed")


def test_a_full_disk_stops_one_stage_with_a_clear_error(site: Site, toy: Toy) -> None:
    change(toy)
    toy.control("train@a.full")
    before = (toy.root / "artifacts/score@b.txt").read_bytes()
    flow = site.start_flow(toy)
    output, _ = flow.communicate(timeout=600)
    assert flow.returncode == 1
    assert "the disk is full: free some space" in output
    assert (toy.root / "artifacts/score@b.txt").read_bytes() == before
    assert toy.value("prepare@a") == 40
    (toy.root / "control/train@a.full").unlink()
    toy.started()
    site.command(toy, "flows.reproduce")
    assert toy.started() == {"train@a", "score@a", "report"}


def scheduled(site: Site) -> set[str]:
    """Deployments of which the server has put future runs on its list."""
    waiting = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, "deployments": {}}
    known = {deployment["id"]: deployment["name"] for deployment in site.ask("/deployments/filter", {})}
    return {known[run["deployment_id"]] for run in site.ask("/flow_runs/filter", waiting) if run["auto_scheduled"]}


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "it ended"
    return line


def read_text(path: Path) -> str:
    return path.read_text(errors="replace")


def test_the_first_try_serves_runs_and_ends_without_a_trace(toy: Toy) -> None:
    site = Site(toy.root / "work/prefect", free_port())
    command = [sys.executable, "-m", "flows.serve", "--port", str(site.port)]
    variables = site.variables(toy)
    for name in (SERVER_AUTH, CLIENT_AUTH):  # it finds the secret in the file, and its worker and runs find it there
        del variables[name]
    with subprocess.Popen(
        command, cwd=toy.root, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as serve:
        try:
            printed = "".join(iter(lambda: next_line(serve), "Ctrl-C ends the server, the worker and its runs\n"))
            assert "start a run now" in printed
            run = site.run("nightly/nightly", git_remote=None)
            site.wait_for_state(run, "Completed")
            found = site.ask("/artifacts/latest/filter", {})
            assert {"metrics", "comparison", "stages"} <= {artifact["key"] for artifact in found}
            schedules = {d["name"]: d["schedules"] for d in site.ask("/deployments/filter", {})}
            assert schedules["nightly"][0]["schedule"]["cron"] == "0 2 * * *"
            wait_for(lambda: "nightly" in scheduled(site), "the nightly run is scheduled")
            assert site.ask("/admin/settings")["server"]["analytics_enabled"] is False
            password = auth_string(site.home).partition(":")[2]
            assert password not in printed + site.log_of(run) + str(found)
            assert [path for path in site.home.iterdir() if path.is_file() and password in read_text(path)] == [
                site.home / "auth"
            ]
        finally:
            serve.terminate()  # as Ctrl-C, which a process in the background may ignore
    assert not answers(site.port)
    assert not processes("prefect", toy.root)
    assert toy.git("tag", "--list").strip() == "baseline"
