"""What `auto` makes of images that no stage has seen."""

from jaxtyping import UInt8
from torch import Tensor

from stages.aecsad.pseudo_label.choice import Chosen, propose
from stages.aecsad.pseudo_label.classical.propose import classical_proposers
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.aecsad.pseudo_label.proposal import Proposal
from stages.core.run.params import EncoderParams, load_params, load_value


def choose(images: UInt8[Tensor, "N 3 H W"]) -> Chosen:
    """The classical proposers' parts and the choice between them, with the settings of params.yaml."""
    params = load_params(PseudoLabelParams, section="aecsad.pseudo_label")
    params = params.model_copy(update={"proposer": "auto"})
    encoder = load_params(EncoderParams, section="encoder")
    return propose(images, classical_proposers(params, encoder.name, seed=load_value("seed")), no_foundation, params)


def no_foundation() -> Proposal:
    """Not asked for by `auto`."""
    raise NotImplementedError
