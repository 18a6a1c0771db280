"""Semantic segmentation of components: CSAD's DeepLabV3+ decoder on the frozen encoder's stages."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from stages.core.encoder.engine import write_graph
from stages.core.runtime.graphs import LABELS, LEVEL, BranchGraph

DILATIONS = (6, 12, 18)
LOW_LEVEL_CHANNELS = 48
DEFAULT_MOMENTUM = 0.1  # of BatchNorm's running statistics: PyTorch's
CSAD_MOMENTUM = 0.999


class Segmentor(nn.Module):
    """Atrous spatial pyramid pooling on the stride-16 stage, refined with the stride-4 stage.

    Chen et al., "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018, in the form of CSAD's `Segmentor`
    (width 256, plain instead of separable convolutions). BatchNorm has PyTorch's momentum of 0.1; CSAD's 0.999 makes
    the running statistics those of the last batch.

    Attributes:
        arguments: rebuild the module; plain JSON values.
    """

    def __init__(self, channels: Sequence[int], *, num_classes: int, width: int, momentum: float) -> None:
        """Build the untrained decoder.

        Args:
            channels: of the encoder's stages at stride 4 and 16.
            num_classes: component classes plus one for background, which is class 0.
            width: channels of every hidden layer.
            momentum: share of the newest batch in BatchNorm's running statistics.
        """
        super().__init__()
        self.arguments: dict[str, Any] = {
            "channels": list(channels), "num_classes": num_classes, "width": width, "momentum": momentum,
        }  # fmt: skip
        low, high = channels
        self.pyramid = nn.ModuleList(
            [conv_bn_relu(high, width, 1), *(conv_bn_relu(high, width, 3, dilation=rate) for rate in DILATIONS)]
        )
        self.image_pool = conv_bn_relu(high, width, 1)
        self.reduce = conv_bn_relu(low, LOW_LEVEL_CHANNELS, 1)
        self.merge = conv_bn_relu(5 * width, width, 1)
        self.refine = nn.Sequential(
            conv_bn_relu(width + LOW_LEVEL_CHANNELS, width, 3),
            conv_bn_relu(width, width, 3),
            nn.Conv2d(width, num_classes, 1),
        )
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = momentum

    def forward(
        self, low: Float[Tensor, "B c h w"], high: Float[Tensor, "B C k l"], *, size: int
    ) -> Float[Tensor, "B K S S"]:
        """Return class logits at `size` x `size` pixels from the stages at stride 4 and 16."""
        pooled = self.image_pool(high.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *high.shape[-2:])
        pyramid = torch.cat([*(branch(high) for branch in self.pyramid), pooled], dim=1)
        merged = enlarge(self.merge(pyramid), low.shape[-2:])
        logits = self.refine(torch.cat([merged, self.reduce(low)], dim=1))
        return enlarge(logits, (size, size))

    @torch.no_grad()
    def label_map(
        self, low: Float[Tensor, "B c h w"], high: Float[Tensor, "B C k l"], *, size: int
    ) -> UInt8[Tensor, "B S S"]:
        """Return the most probable class of every pixel of images of `size` x `size` pixels."""
        logits: Tensor = self(low, high, size=size)
        return logits.max(dim=1).indices.to(torch.uint8)  # argmax is eight times slower on a CPU


class LabelMapGraph(nn.Module):
    """The segmentation as a network, which can be exported: from features of one image to its label map."""

    inputs = (f"{LEVEL}0", f"{LEVEL}2")
    outputs = (LABELS,)

    def __init__(self, segmentor: Segmentor, *, size: int) -> None:
        """Keep the trained network.

        Args:
            size: side of the images in pixels.
        """
        super().__init__()
        self.segmentor, self.size = segmentor, size

    def forward(self, low: Float[Tensor, "1 c h w"], high: Float[Tensor, "1 C k l"]) -> UInt8[Tensor, "1 S S"]:
        """Return the label map from the stages at stride 4 and 16."""
        return self.segmentor.label_map(low, high, size=self.size)


def enlarge(x: Float[Tensor, "B C h w"], size: Sequence[int]) -> Float[Tensor, "B C H W"]:
    """Resize to (height, width), bilinear.

    On a CPU its gradient takes a tenth of the time in the layout of convolutions, which that of a slice or a loss does
    not have by itself.
    """
    enlarged = F.interpolate(x, size, mode="bilinear")
    if enlarged.requires_grad:
        enlarged.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
    return enlarged


Labeller = Callable[[Float[Tensor, "1 c h w"], Float[Tensor, "1 C k l"]], UInt8[Tensor, "1 S S"]]


def labeller_of(segmentor: Segmentor, *, size: int) -> Labeller:
    """Return what makes label maps of single images: on a CPU the graph that a bundle has, on a GPU the network.

    Where two classes are equally likely, the last digit decides, and torch's differs from that of ONNX Runtime. Of few
    images, histograms make much of one pixel; so both have to take the same one.

    Args:
        segmentor: trained, in eval mode.
        size: side of the images in pixels.
    """
    device = next(segmentor.parameters()).device
    if device.type != "cpu":
        return lambda low, high: segmentor.label_map(low, high, size=size)
    graphs: dict[tuple[torch.Size, torch.Size], BranchGraph] = {}
    exporting = Lock()

    def label(low: Float[Tensor, "1 c h w"], high: Float[Tensor, "1 C k l"]) -> UInt8[Tensor, "1 S S"]:
        key = (low.shape, high.shape)
        with exporting:
            if key not in graphs:
                graphs[key] = graph_of(segmentor, low, high, size=size)
        values = dict(zip(LabelMapGraph.inputs, (low.contiguous().numpy(), high.contiguous().numpy()), strict=True))
        return torch.from_numpy(graphs[key](values)[LABELS])

    return label


def graph_of(
    segmentor: Segmentor, low: Float[Tensor, "1 c h w"], high: Float[Tensor, "1 C k l"], *, size: int
) -> BranchGraph:
    """Export the segmentation for features of these sizes, and open it."""
    network = LabelMapGraph(segmentor, size=size).eval()
    examples = dict(zip(LabelMapGraph.inputs, (low.contiguous(), high.contiguous()), strict=True))
    with TemporaryDirectory() as folder, torch.autocast("cpu", enabled=False):
        path = Path(folder) / "labels.onnx"
        write_graph(network, path, examples, LabelMapGraph.outputs)
        return BranchGraph(path.read_bytes(), threads=torch.get_num_threads())


def conv_bn_relu(before: int, after: int, kernel: int, *, dilation: int = 1) -> nn.Sequential:
    """Build a convolution without bias that keeps the map's size, batch normalisation and ReLU."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
