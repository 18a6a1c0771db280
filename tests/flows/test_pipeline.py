"""The pipeline as flows read it."""

from flows.pipeline import read_pipeline
from tests.flows.toy import Toy


def test_the_pipeline_is_read_as_dvc_sees_it(toy: Toy) -> None:
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    pipeline = read_pipeline(toy.root)
    assert pipeline.changed == {"prepare@a", "train@a", "score@a"}
    train = pipeline.stages["train@a"]
    assert (train.resource, train.needs, train.seconds) == ("gpu", {"prepare@a"}, 0.1)
    assert (train.recorded, pipeline.stages["report"].recorded) == ((), ("metrics/cost.json",))
    assert train.params == {"categories.a", "profiles/toy.yaml:net"}
    assert (train.batch_size, train.timeout_minutes) == ("profiles/toy.yaml:net.batch_size", None)
    assert pipeline.stages["report"].needs == pipeline.stages.keys() - {"report"}  # it tells what each cost


def test_missing_data_is_no_change_where_it_lies_elsewhere(toy: Toy) -> None:
    (toy.root / "artifacts/train@a.txt").unlink()
    assert read_pipeline(toy.root).changed == {"train@a", "score@a"}
    assert read_pipeline(toy.root, data_elsewhere=True).changed == set()
    toy.set_params(categories={"a": {"value": 30}, "b": {"value": 30}})
    assert read_pipeline(toy.root, data_elsewhere=True).changed == {"prepare@b", "train@b", "score@b"}
