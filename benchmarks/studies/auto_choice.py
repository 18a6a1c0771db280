"""What `auto` makes of products that no stage has seen."""

from collections.abc import Mapping
from functools import partial

from jaxtyping import UInt8
from torch import Tensor

from benchmarks.studies.canvas import Product, photographs
from stages.aecsad.pseudo_label.choice import Chosen, Pictures, Proposer, propose
from stages.aecsad.pseudo_label.classical.propose import classical_proposers
from stages.aecsad.pseudo_label.judging import judge_proposers
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.aecsad.pseudo_label.proposal import Proposal
from stages.core.run.params import EncoderParams, load_params, load_value

VALIDATION = 30  # further photographs of a product, which are edited


def choose(product: Product, images: UInt8[Tensor, "N 3 H W"]) -> Chosen:
    """The classical proposers' parts and the choice between them, with the settings of params.yaml.

    Args:
        product: that validation images are taken of.
        images: of it, to propose parts of.
    """
    params = load_params(PseudoLabelParams, section="aecsad.pseudo_label")
    encoder, seed = load_params(EncoderParams, section="encoder"), load_value("seed")
    validation, _ = photographs(product, count=VALIDATION, first=len(images))
    pictures = Pictures(images, validation, tuple(f"{number:03d}" for number in range(VALIDATION)))
    return choose_among(classical_proposers(params, encoder.network, seed=seed), pictures, seed=seed)


def choose_among(proposers: Mapping[str, Proposer], pictures: Pictures, *, seed: int) -> Chosen:
    """The same for pictures at hand and proposers by the names of `choice.CLASSICAL`."""
    params = load_params(PseudoLabelParams, section="aecsad.pseudo_label").model_copy(update={"proposer": "auto"})
    judge = partial(judge_proposers, encoder_name=load_params(EncoderParams, section="encoder").network, seed=seed)
    return propose(pictures, proposers, no_foundation, judge, params, seed=seed)


def no_foundation() -> Proposal:
    """Not asked for by `auto`."""
    raise NotImplementedError
