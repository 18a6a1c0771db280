"""What `auto` makes of drawn products that no stage has seen."""

from functools import partial

from jaxtyping import UInt8
from torch import Tensor

from benchmarks.studies.canvas import Product, photographs
from stages.aecsad.pseudo_label.choice import Chosen, Pictures, propose
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
    params = params.model_copy(update={"proposer": "auto"})
    encoder, seed = load_params(EncoderParams, section="encoder"), load_value("seed")
    validation, _ = photographs(product, count=VALIDATION, first=len(images))
    pictures = Pictures(images, validation, tuple(f"{number:03d}" for number in range(VALIDATION)))
    judge = partial(judge_proposers, encoder_name=encoder.network, seed=seed)
    classical = classical_proposers(params, encoder.network, seed=seed)
    return propose(pictures, classical, no_foundation, judge, params, seed=seed)


def no_foundation() -> Proposal:
    """Not asked for by `auto`."""
    raise NotImplementedError
