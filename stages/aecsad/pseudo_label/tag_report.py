"""tags.yaml: what RAM++ sees in a product's normal images, proposed to a person, and which words were used."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stages.core.running.atomic import replacing_file

HEADER = """\
# Written by the pseudo_label room, never read by it: proposals for a person. Put the words you agree with under
# categories.<name>.prompts of params.yaml. `share` is the share of images with the tag, `probability` its mean over the
# images that have it or miss its `threshold` by little (`near`).
"""


@dataclass(frozen=True)
class TagReport:
    """Proposals and what came of them.

    Attributes:
        images: number of images that were tagged.
        tags: one mapping a tag, most frequent first.
        suggested: "objects" and "background" by simple rules.
        used: the prompts that made the masks.
        source: whose words those are.
    """

    images: int
    tags: tuple[Mapping[str, Any], ...]
    suggested: Mapping[str, tuple[str, ...]]
    used: Mapping[str, Any]
    source: str


def write_tags(path: Path, report: TagReport | None, *, proposer: str) -> None:
    """Write YAML for people; of a proposer that reads no words, just that."""
    content: dict[str, Any] = {"proposer": proposer}
    if report is None:
        content["tags"] = "not asked for: this proposer reads no words"
    else:
        content |= {
            "human_input": report.source,
            "used": plain(report.used),
            "tagged_images": report.images,
            "suggested": plain(report.suggested),
            "tags": [dict(tag) for tag in report.tags],
        }
    with replacing_file(path) as temporary:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
        temporary.write_text(HEADER + text, encoding="utf-8")


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples as lists, which YAML has a plain form for."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
