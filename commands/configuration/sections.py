"""The sections of params.yaml and of the profiles, the model of each, and texts for keys that no model describes."""

from pydantic import BaseModel

from stages.aecsad.cluster.params import ClusterParams
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.hybrid_fusion.params import HybridFusionParams
from stages.aecsad.pseudo_label.params import PseudoLabelParams
from stages.aecsad.score_fusion.params import ScoreFusionParams
from stages.aecsad.segmentation.params import SegmentationParams
from stages.aecsad.student_teacher.params import StudentTeacherParams
from stages.clip.inctrl.params import InctrlParams
from stages.clip.madclip.params import MadclipParams
from stages.core.run.params import EncoderParams
from stages.download.category import Aptos2019, Csv, Elpv, Folder, Isic2018, Medical, Mvtec, MvtecLoco, Sample
from stages.evaluation.params import EvaluationParams
from stages.patchcore.params import PatchcoreParams
from stages.sir.features.params import TeacherParams
from stages.sir.model.params import DecoderParams, TrainingParams
from stages.sir.scores.scoring import MapsParams
from stages.split.sources import SplitParams
from stages.uninformed_students.params import UninformedStudentsParams


def section_of(model: type[BaseModel], key: str) -> type[BaseModel]:
    """Return the model of a key that is a section."""
    annotation = model.model_fields[key].annotation
    assert isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation


PARAMS_SECTIONS: dict[str, type[BaseModel] | None] = {  # None: in TEXTS
    "profile": None,
    "seed": None,
    "categories": None,
    "components": None,
    "methods": None,
    "split": None,
    "export": None,
    "evaluation": EvaluationParams,
    "near_duplicates": section_of(SplitParams, "near_duplicates"),
    "data_health": section_of(SplitParams, "data_health"),
}
SOURCES: tuple[type[BaseModel], ...] = (Folder, Csv, Sample, MvtecLoco, Mvtec, Elpv, Medical, Aptos2019, Isic2018)
PROFILE_SECTIONS: dict[str, type[BaseModel]] = {
    "encoder": EncoderParams,
    "aecsad.pseudo_label": PseudoLabelParams,
    "aecsad.cluster": ClusterParams,
    "aecsad.segmentation": SegmentationParams,
    "aecsad.student_teacher": StudentTeacherParams,
    "aecsad.histogram": HistogramParams,
    "aecsad.score_fusion": ScoreFusionParams,
    "aecsad.hybrid_fusion": HybridFusionParams,
    "patchcore": PatchcoreParams,
    "inctrl": InctrlParams,
    "madclip": MadclipParams,
    "uninformed_students": UninformedStudentsParams,
    "sir.teacher": TeacherParams,
    "sir.decoder": DecoderParams,
    "sir.training": TrainingParams,
    "sir.maps": MapsParams,
}
TEXTS: dict[str, tuple[str, str]] = {  # key of params.yaml: kind, meaning
    "profile": ("text", "The file in `profiles/` that is active."),
    "seed": ("integer from 0", "Of every random draw: split, initial weights, batches, synthetic defects."),
    "categories.*": ("section", "One for each product, see `categories.*`. The name: letters, digits, `-` and `_`."),
    "components": (
        "section",
        "By product, names for the numbers of component classes: `my_part: {1: label}`. The report, bundles and "
        "`oddpart predict` read them.",
    ),
    "methods.*.categories": (
        "`all`, or section",
        "Products that the method scores; each is a key of `categories`. An empty section switches the method off.",
    ),
    "methods.*.stages": ("list of text", "The method's own stages, where they are not one of its name."),
    "methods.*.needs": (
        "list of text",
        "Methods that it is made from, on the same products; their stages are part of its cost.",
    ),
    "methods.sir.universal": ("list of text", "Settings of SIR with one model for all of its products."),
    "methods.sir.specialised": ("list of text", "Settings of SIR with a model for each product."),
    "methods.inctrl.auxiliary": ("section", "Products that InCTRL is trained on, each with `object`."),
    "methods.inctrl.categories.*.object": ("text", "The product's name in words, for CLIP's texts: solar cell."),
    "methods.inctrl.categories.*.window": (
        "section, or null",
        "Level and width of the values of DICOM images that become black to white.",
    ),
    "methods.madclip.categories.*.trained_on": ("text", "The product whose labelled images MadCLIP learns from."),
    "methods.madclip.categories.*.object": ("text", "As for InCTRL."),
    "methods.madclip.categories.*.window": ("section, or null", "As for InCTRL."),
    "methods.madclip.categories.*.trained_on_window": (
        "section, or null",
        "The same of the images that it learns from, where these are of another product.",
    ),
    "export.categories": (
        "section",
        "Products whose methods are exported as bundles, each a key of `categories`; an empty section exports none. "
        "A product's own section is `{}`, or `{variants: [fp16, int8]}` for bundles in lower precision, too.",
    ),
    "split.ratios": (
        "list of 3, each integer from 0",
        "Train : validation : test where the source brings no split; anomalies only to the last two.",
    ),
    "split.rotate_up_to": (
        "integer from 0",
        "With so many normal images in train and validation, or fewer, validation rotates; 0 switches that off.",
    ),
}
