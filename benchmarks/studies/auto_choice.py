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
    return propose(
        "auto",
        images,
        classical_proposers(params, load_params(EncoderParams, section="encoder").name, seed=load_value("seed")),
        no_foundation,
        min_count_agreement=params.min_count_agreement,
        max_count_variation=params.graph_merging.max_count_variation,
        max_part=params.background_difference.window**2 / 2,
    )


def no_foundation() -> Proposal:
    """Not asked for by `auto`."""
    raise NotImplementedError
