"""anomalib's models around our frozen encoder, and how anomalib trains each.

anomalib builds its own feature extractor from weights that it downloads. Here a class of ours takes its place, so that
every method sees the same features as ours do; everything else is anomalib's.
"""

import importlib
from collections.abc import Iterable, Sequence
from typing import Any
from unittest.mock import patch

import timm
import torch
from torch import Tensor, nn

from stages.core.encoder.encoder import FrozenEncoder
from stages.core.neighbours.coreset import choose_coreset
from stages.core.run.errors import UserError

VERSION = "2.7.0"
LAYERS = ("layer1", "layer2", "layer3")  # names that anomalib gives the maps at strides 4, 8 and 16
RESNET18 = (64, 128, 256)  # channels that reverse distillation's layers are laid out for
BANK_RATIO, LARGEST_BANK = 0.1, 16_384  # anomalib's; a greedy choice of more patches takes hours on two cores
PADIM_FEATURES = 100  # anomalib's for ResNet-18
MAP_MODE = "add"  # anomalib's default of the method

Batches = Iterable[Tensor]


class Stages(nn.Module):
    """The encoder in the place of anomalib's feature extractor.

    Attributes:
        out_dims: channels of each layer.
        widened: a fixed random map of the channels to those of ResNet-18, for layers that take no others.
    """

    def __init__(self, encoder: FrozenEncoder, layers: Sequence[str], *, widened: bool = False) -> None:
        """Keep the encoder; nothing in here learns."""
        super().__init__()
        self.encoder, self.layers = encoder, tuple(layers)
        chosen = [LAYERS.index(layer) for layer in layers]
        found = [encoder.channels[row] for row in chosen]
        self.out_dims = [RESNET18[row] for row in chosen] if widened else found
        self.maps = nn.ModuleList(
            nn.Conv2d(before, after, 1, bias=False) if widened else nn.Identity()
            for before, after in zip(found, self.out_dims, strict=True)
        ).requires_grad_(False)
        for one in self.maps:
            if isinstance(one, nn.Conv2d):
                nn.init.orthogonal_(one.weight)

    @torch.no_grad()
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the layers by name."""
        stages = self.encoder.recall(images)
        chosen = (stages[LAYERS.index(layer)] for layer in self.layers)
        return {layer: one(stage) for layer, one, stage in zip(self.layers, self.maps, chosen, strict=True)}


class Untrained(nn.Module):
    """The same network with random weights: STFPM's student."""

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: FrozenEncoder, layers: Sequence[str]) -> None:
        """Build it; the image is normalised as for the encoder."""
        super().__init__()
        self.layers = tuple(layers)
        indices = [encoder.stages[LAYERS.index(layer)] for layer in layers]
        name = encoder.name.partition("?")[0]
        self.body = timm.create_model(name, pretrained=False, features_only=True, out_indices=indices)
        self.register_buffer("mean", encoder.mean)
        self.register_buffer("std", encoder.std)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the layers by name."""
        return dict(zip(self.layers, self.body((images - self.mean) / self.std), strict=True))


def torch_model(method: str) -> Any:
    """Import anomalib's module of a method.

    Raises:
        UserError: anomalib is not installed.
    """
    try:
        return importlib.import_module(f"anomalib.models.image.{method}.torch_model")
    except ModuleNotFoundError as error:
        raise UserError(
            f"anomalib is not installed ({error}): run `make setup-baselines` and call .venv-baselines/bin/python"
        ) from None


def built(method: str, encoder: FrozenEncoder, model: str, *, widened: bool = False, **arguments: Any) -> Any:
    """Build a model of anomalib's with our encoder in the place of its own feature extractor.

    Args:
        method: name of anomalib's package.
        encoder: of ours.
        model: name of the class.
        widened: see `Stages`.
        arguments: of the class.
    """
    module = torch_model(method)

    def extractor(
        backbone: str, layers: Sequence[str], pre_trained: bool = True, requires_grad: bool = False
    ) -> nn.Module:
        return Untrained(encoder, layers) if requires_grad else Stages(encoder, layers, widened=widened)

    with patch.object(module, "TimmFeatureExtractor", extractor):
        return getattr(module, model)(**arguments)


class Peer:
    """A method: fitted on normal images, then it scores and maps others one by one."""

    model: Any
    trained_images = 0  # that a training with steps has seen, repetitions counted

    def fit(self, images: Tensor, *, seen: int, generator: torch.Generator) -> None:
        """Fit on normal images.

        Args:
            images: N 3 S S, RGB in [0, 1].
            seen: images that a training with steps sees in all.
            generator: of every draw.
        """
        raise NotImplementedError

    @torch.no_grad()
    def judge(self, image: Tensor) -> tuple[float, Tensor]:
        """Return score and anomaly map of one image."""
        found = self.model(image)
        return float(found.pred_score.flatten()[0]), found.anomaly_map[0].squeeze()

    def stored_bytes(self) -> int:
        """Return what must be kept of the method besides the encoder."""
        state = self.model.state_dict()
        return sum(one.numel() * one.element_size() for name, one in state.items() if ".encoder." not in name)


class Patchcore(Peer):
    """Memory bank of a tenth of the patches, at most LARGEST_BANK; the greedy choice is ours, anomalib's is slow."""

    def __init__(self, encoder: FrozenEncoder, size: int) -> None:
        """Build the model on strides 8 and 16."""
        assert encoder.channels and size
        self.model = built("patchcore", encoder, "PatchcoreModel", layers=list(LAYERS[1:]), backbone="resnet18",
                           pre_trained=False)  # fmt: skip

    @torch.no_grad()
    def fit(self, images: Tensor, *, seen: int, generator: torch.Generator) -> None:
        """Fill the bank."""
        for image in images.split(1):
            self.model.train()(image)
        patches = torch.vstack(self.model.embedding_store)
        ratio = min(BANK_RATIO, LARGEST_BANK / len(patches))
        chosen = choose_coreset(patches, ratio=ratio, dimensions=patches.shape[1], generator=generator)
        self.model.eval().memory_bank = patches[chosen]
        self.model.embedding_store = []


class Padim(Peer):
    """A Gaussian for each place, of 100 of the channels."""

    def __init__(self, encoder: FrozenEncoder, size: int) -> None:
        """Build the model on all three strides."""
        assert size
        self.model = built("padim", encoder, "PadimModel", backbone="resnet18", layers=list(LAYERS), pre_trained=False,
                           n_features=min(PADIM_FEATURES, sum(encoder.channels)))  # fmt: skip

    @torch.no_grad()
    def fit(self, images: Tensor, *, seen: int, generator: torch.Generator) -> None:
        """Fit the Gaussians."""
        for image in images.split(1):
            self.model.train()(image)
        self.model.fit()
        self.model.eval()


class Trained(Peer):
    """A method that is trained by steps, as anomalib configures it, without its early stopping on test metrics."""

    batch = 32
    loss: nn.Module

    def optimizer(self) -> torch.optim.Optimizer:
        """Return anomalib's optimizer of the method."""
        raise NotImplementedError

    def fit(self, images: Tensor, *, seen: int, generator: torch.Generator) -> None:
        """Train for as many steps as `seen` images make."""
        optimizer = self.optimizer()
        self.model.train()
        while self.trained_images < seen:
            order = torch.randperm(len(images), generator=generator)
            for rows in order.split(self.batch):
                if len(rows) < 2:  # batch normalisation
                    continue
                loss = self.loss(*self.model(images[rows]))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                self.trained_images += len(rows)
        self.model.eval()


class Stfpm(Trained):
    """A student of the encoder's own architecture imitates its layers."""

    def __init__(self, encoder: FrozenEncoder, size: int) -> None:
        """Build the model on all three strides."""
        assert size
        self.model = built("stfpm", encoder, "STFPMModel", layers=list(LAYERS), backbone="resnet18")
        self.loss = importlib.import_module("anomalib.models.image.stfpm.loss").STFPMLoss()

    def optimizer(self) -> torch.optim.Optimizer:
        """Return anomalib's."""
        parameters = self.model.student_model.parameters()
        return torch.optim.SGD(parameters, lr=0.4, momentum=0.9, weight_decay=0.001)


class ReverseDistillation(Trained):
    """A decoder rebuilds the layers from their bottleneck; its layers are those for ResNet-18."""

    def __init__(self, encoder: FrozenEncoder, size: int) -> None:
        """Build the model on all three strides, whose channels are mapped to ResNet-18's."""
        self.model = built(
            "reverse_distillation", encoder, "ReverseDistillationModel", widened=True, backbone="resnet18",
            input_size=(size, size), layers=list(LAYERS), anomaly_map_mode=MAP_MODE, pre_trained=False,
        )  # fmt: skip
        self.loss = importlib.import_module("anomalib.models.image.reverse_distillation.loss").ReverseDistillationLoss()

    def optimizer(self) -> torch.optim.Optimizer:
        """Return anomalib's."""
        learned = [*self.model.decoder.parameters(), *self.model.bottleneck.parameters()]
        return torch.optim.Adam(learned, lr=0.005, betas=(0.5, 0.99))


PEERS: dict[str, type[Any]] = {
    "patchcore": Patchcore,
    "padim": Padim,
    "stfpm": Stfpm,
    "reverse_distillation": ReverseDistillation,
}
NOT_RUN = {
    "efficient_ad": "its teacher's weights and its penalty images (Imagenette) are downloads; a teacher of ours with "
    "such students is the branch `student_teacher` of `aecsad`"
}
