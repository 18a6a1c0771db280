"""The pipeline as flows read it."""

from flows.dvc.pipeline import read_pipeline, read_stages
from tests.flows.toy import Toy


def test_the_pipeline_is_read_as_dvc_sees_it(toy: Toy) -> None:
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    pipeline = read_pipeline(toy.root)
    assert pipeline.changed == {"prepare@a", "train@a", "score@a"}
    train = pipeline.stages["train@a"]
    assert (train.resource, train.needs, train.seconds) == ("gpu", {"prepare@a"}, 0.3)
    assert train.recorded == ("metrics/cost/a/train.json",)
    assert pipeline.stages["report"].recorded == ("metrics/cost/report.json",)
    assert pipeline.stages["score@a"].recorded == (
        "metrics/cost/a/score.json", "metrics/method/a.json", "metrics/overview/a",
    )  # fmt: skip
    assert train.params == {"categories.a", "profiles/toy.yaml:net"}
    assert (train.batch_size, train.timeout_minutes) == ("profiles/toy.yaml:net.batch_size", None)
    assert pipeline.stages["report"].needs == {"score@a", "score@b"}


def test_a_stage_whose_cost_is_not_known_has_no_seconds(toy: Toy) -> None:
    (toy.root / "metrics/cost/a/train.json").write_text('{"seconds')
    (toy.root / "metrics/cost/b/train.json").unlink()
    stages = read_stages(toy.root)
    assert (stages["train@a"].seconds, stages["train@b"].seconds, stages["score@a"].seconds) == (None, None, 0.3)


def test_missing_data_is_no_change_where_it_is_elsewhere(toy: Toy) -> None:
    (toy.root / "artifacts/train@a.txt").unlink()
    assert read_pipeline(toy.root).changed == {"train@a", "score@a"}
    assert read_pipeline(toy.root, data_elsewhere=True).changed == set()
    toy.set_params(categories={"a": {"value": 30}, "b": {"value": 30}})
    assert read_pipeline(toy.root, data_elsewhere=True).changed == {"prepare@b", "train@b", "score@b"}
