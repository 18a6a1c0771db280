"""What the teacher learns from: descriptions of patches by a pretrained network."""

from collections.abc import Mapping
from typing import Any

import pytest
import timm
import torch

from stages.core.encoder.encoder import FrozenEncoder
from stages.core.run.errors import UserError
from stages.core.run.network import Network
from stages.uninformed_students.patch_network import Backbone


def test_patches_with_equal_features_are_a_user_error() -> None:
    backbone = Backbone(FrozenEncoder("tf_efficientnet_lite0", stages=(1,)))
    with pytest.raises(
        UserError, match="4 patches of the training images all have the same features in tf_efficientnet_lite0"
    ):
        backbone.fit(torch.full((4, 3, 17, 17), 0.5), standardise=True)


def test_resnet18_describes_patches_with_512_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its architecture with random weights: the published ones come from the hub."""

    def random_body(network: Network, source: Any, options: Mapping[str, Any]) -> torch.nn.Module:
        assert (network.name, source.hf_hub_id) == ("resnet18.tv_in1k", "timm/resnet18.tv_in1k")
        torch.manual_seed(0)
        body: torch.nn.Module = timm.create_model(network.name, **options)
        return body

    monkeypatch.setattr("stages.core.encoder.pretrained.create", random_body)
    encoder = FrozenEncoder("resnet18.tv_in1k", stages=(4,))
    backbone = Backbone(encoder)
    classifier = timm.create_model("resnet18.tv_in1k", pretrained=False).eval()
    classifier.load_state_dict(encoder.body.state_dict(), strict=False)
    for patch_size in (17, 33, 65):
        patches = torch.randn(2, 3, patch_size, patch_size, generator=torch.Generator().manual_seed(0))
        described = backbone(patches)
        assert described.shape == (2, 512)
        with torch.no_grad():
            pooled = classifier.forward_head(classifier.forward_features(patches), pre_logits=True)
        torch.testing.assert_close(described, pooled, rtol=1e-4, atol=1e-5)
