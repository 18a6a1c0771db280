"""Two workers with clones of their own, an S3-compatible server between them, and a coordinator."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from flows.dvc.pipeline import read_pipeline
from flows.serve import free_port
from flows.site.recovery import stages_to_run
from tests.flows.site import Site, wait_for
from tests.flows.toy import Toy

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]
S3 = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty bucket's server."""
    for name, value in S3.items():
        monkeypatch.setenv(name, value)
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(lambda: bucket(address), "the S3 server answers")
            yield address
        finally:
            server.kill()


def bucket(address: str) -> bool:
    try:
        client = boto3.client("s3", endpoint_url=address)
        client.create_bucket(Bucket="dvc")
        client.close()
    except Exception:  # boto3 makes its exceptions at run time
        return False
    return True


@dataclass(frozen=True)
class Plant:
    """A coordinator, two workers' clones, the server, and what they share."""

    site: Site
    coordinator: Toy
    workers: tuple[Toy, Toy]
    git: Path

    def distribute(self) -> str:
        run = self.site.run("distribute/distribute", retries=0)
        wait_for(lambda: self.site.state(run) in ("Completed", "Failed", "Crashed"), "distribute ends", 900)
        return run


@pytest.fixture
def plant(toy: Toy, store: str, tmp_path: Path) -> Iterator[Plant]:
    toy.dvc("remote", "add", "-q", "--default", "store", "s3://dvc/cache")
    toy.dvc("remote", "modify", "-q", "store", "endpointurl", store)
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 50}})
    toy.git("clone", "-q", "--bare", str(toy.root), str(tmp_path / "git"))
    toy.git("remote", "add", "origin", str(tmp_path / "git"))
    workers = (clone_of(tmp_path / "git", tmp_path / "one"), clone_of(tmp_path / "git", tmp_path / "two"))
    site = Site(tmp_path / "prefect", free_port())
    site.start()
    try:
        for pool in ("oddpart", "oddpart-shards"):
            site.command(toy, "prefect", "work-pool", "create", pool, "--type", "process", "--overwrite")
        site.command(toy, "prefect", "--no-prompt", "deploy", "--all")
        site.start_worker(toy, "oddpart")
        for worker in workers:
            site.start_worker(worker, "oddpart-shards")
        yield Plant(site, toy, workers, tmp_path / "git")
    finally:
        site.close()


def clone_of(source: Path, root: Path) -> Toy:
    subprocess.run(["git", "clone", "-q", str(source), str(root)], check=True)
    clone = Toy(root)
    for key in ("user.name", "user.email"):
        clone.git("config", key, "worker@localhost")
    return clone


def test_two_workers_share_the_products(plant: Plant) -> None:
    for worker in plant.workers:  # nobody has time for both shards
        worker.control("train@a.sleep", "45")
        worker.control("train@b.sleep", "45")
    run = plant.distribute()
    assert plant.site.state(run) == "Completed", plant.site.log_of(run)
    one, two = (worker.started() for worker in plant.workers)
    assert {frozenset(one), frozenset(two)} == {
        frozenset({"prepare@a", "train@a", "score@a"}), frozenset({"prepare@b", "train@b", "score@b"})
    }  # fmt: skip
    coordinator = plant.coordinator
    assert coordinator.started() == {"report"}
    assert stages_to_run(coordinator.root) == []
    assert coordinator.git("status", "--porcelain") == ""
    costs = [f"metrics/cost/{product}/{stage}.json" for product in "ab" for stage in ("prepare", "score", "train")]
    assert set(costs) <= set(coordinator.git("show", "--name-only", "--format=", "HEAD").split())
    assert coordinator.git("log", "-1", "--format=%s").strip() == "nightly: 7 stages ran"
    references = coordinator.git("ls-remote", "origin")
    assert "oddpart-shards" not in references
    assert references.count(coordinator.git("rev-parse", "HEAD").strip()) >= 2  # the branch and the tag
    third = clone_of(plant.git, plant.git.with_name("third"))
    third.dvc("pull", "-q")
    assert third.value("report") == 90
    assert third.dvc("status").strip().endswith("Data and pipelines are up to date.")


def test_a_failed_shard_does_not_hold_back_the_other(plant: Plant) -> None:
    for worker in plant.workers:
        worker.control("score@b.print", "ValueError: a bug")
    run = plant.distribute()
    assert plant.site.state(run) == "Failed"
    assert "shard b" in plant.site.ask(f"/flow_runs/{run}")["state"]["message"]
    remaining = read_pipeline(plant.coordinator.root, data_elsewhere=True).changed
    assert remaining >= {"score@b"}
    assert not remaining & {"prepare@a", "train@a", "score@a", "prepare@b", "train@b"}
    for worker in plant.workers:
        (worker.root / "control/score@b.print").unlink()
        worker.started()
    run = plant.distribute()
    assert plant.site.state(run) == "Completed", plant.site.log_of(run)
    assert set.union(*(worker.started() for worker in plant.workers)) == {"score@b"}
    assert plant.coordinator.started() == {"report"}
