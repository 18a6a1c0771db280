"""The frozen network of a profile as one text, which artefacts carry: its name, its layers and its weights.

`tf_efficientnet_lite0` is a name alone; where a profile says more, it follows as in an address:
`vit_small_patch16_dinov3.lvd1689m?out_indices=3,7,11&weights=weights/dinov3.safetensors&sha256=...`.
"""

from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode

from stages.core.run.errors import UserError


@dataclass(frozen=True)
class Network:
    """A frozen network.

    Attributes:
        name: of the package's network or of timm's, with the tag of its weights.
        out_indices: timm's numbers of the layers that stand for strides 4, 8 and 16; None: found by these strides.
        weights: file with the weights in timm's layout; None: those of the package or the hub.
        sha256: of that file.
        section: of the profile that names the network, for messages; no part of the text.
    """

    name: str
    out_indices: tuple[int, ...] | None = None
    weights: str | None = None
    sha256: str | None = None
    section: str = field(default="encoder", compare=False)

    @property
    def key(self) -> str:
        """The key of the profile with the name."""
        return f"profile: {self.section}.name"

    def __str__(self) -> str:
        """Return the text, the name alone where nothing else is set."""
        layers = None if self.out_indices is None else ",".join(map(str, self.out_indices))
        further = {"out_indices": layers, "weights": self.weights, "sha256": self.sha256}
        stated = {key: value for key, value in further.items() if value is not None}
        return f"{self.name}?{urlencode(stated, safe='/,')}" if stated else self.name

    @classmethod
    def parse(cls, text: str) -> "Network":
        """Return the network of a text.

        Raises:
            UserError: it is no such text.
        """
        name, _, further = text.partition("?")
        try:
            stated = {key: value for key, (value,) in parse_qs(further, strict_parsing=bool(further)).items()}
            layers = stated.pop("out_indices", None)
            indices = None if layers is None else tuple(int(layer) for layer in layers.split(","))
            return cls(name, indices, **stated)
        except (TypeError, ValueError):
            raise UserError(f"{text!r} names no network: write encoder.name as timm has it") from None
