"""Teacher and students together: maps, the image score, and a module built again from its file."""

import pytest
import torch

from stages.aecsad.model.student_teacher import build_local_student, rebuild
from tests.unit.aecsad.students import SMALL_LOCAL, STEM, small_module, views


@pytest.mark.parametrize(("network", "reads"), [("patch", "image"), ("stem", "stem")])
def test_the_local_student_is_the_one_that_is_named(network: str, reads: str) -> None:
    arguments = SMALL_LOCAL if network == "patch" else {"network": "stem", "width": 4}
    student = build_local_student(arguments, stem_channels=5, dim=6, map_size=32)
    assert student.reads == reads
    inputs = torch.zeros(2, 3, 256, 256) if reads == "image" else torch.zeros(2, 5, 64, 64)
    assert student.teacher_head(student(inputs)).shape == (2, 6, 32, 32)


def test_score_is_the_mean_of_the_highest_cells() -> None:
    cells = torch.zeros(1, 32, 32)
    cells[0, 0, :4] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    assert float(small_module(["local"], pooled_cells=1).pool(cells)) == 4.0
    assert float(small_module(["local"], pooled_cells=4).pool(cells)) == 2.5


def test_rebuilt_module_is_the_same() -> None:
    module = small_module(["local", "global", "global_local"]).eval()
    again = rebuild(module.state_dict(), module.arguments)
    assert again.arguments == module.arguments
    for (name, tensor), (other, same) in zip(module.state_dict().items(), again.state_dict().items(), strict=True):
        assert name == other
        torch.testing.assert_close(tensor, same)


def test_a_norm_is_the_root_of_the_sum_of_squares() -> None:
    seen, others = views(STEM)
    module, image = seen.module.eval(), others[:1].float() / 255
    given = seen.encoder.normalise(image), seen.encoder(image)
    squares = module.raw_maps(*given)
    module.distance = "norm"
    for name, values in module.raw_maps(*given).items():
        torch.testing.assert_close(values**2 / 6, squares[name])
