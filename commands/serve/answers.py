"""What a service answers, as its OpenAPI page shows it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from functools import cache
from typing import Any

from PIL import Image, ImageDraw
from pydantic import BaseModel, Field

from commands.predict.rows import PLAIN
from commands.serve.bodies import JSON, MULTIPART, TAG_HEADER


class Verdict(BaseModel):
    """The verdict on one picture, or why there is none."""

    name: str
    sha256: str | None = Field(default=None, description="of the picture's bytes")
    score: float | None = Field(default=None, description="higher is more anomalous")
    threshold: float | None = None
    is_anomalous: bool | None = Field(default=None, description="whether the score is above the threshold")
    display_score: float | None = Field(default=None, description="from 0 to 1, 0.5 at the threshold")
    p_value: float | None = Field(default=None, description="how likely an unseen normal picture scores at least this")
    unsure: bool | None = Field(
        default=None, description="whether other normal validation images might turn the verdict"
    )
    branches: dict[str, float | None] = Field(default_factory=dict, description="score of each branch")
    explanations: list[str] = Field(default_factory=list, description="in words, what decided first")
    size_note: str | None = None
    kind_note: str | None = None
    bundle_sha256: str | None = Field(default=None, description="of the bundle that judged")
    tags: dict[str, str] = Field(default_factory=dict, description="as the request names them")
    time: str | None = Field(
        default=None, description="UTC, as it is stored: of a picture that comes again with the same tags the first one"
    )
    error: str | None = Field(default=None, description="why there is no verdict; the other pictures have theirs")


class Answer(BaseModel):
    """The verdicts on the pictures of a request, in their order."""

    product: str
    method: str
    verdicts: list[Verdict]


class About(BaseModel):
    """A product that is served."""

    name: str
    product: str
    method: str
    commit: str | None
    bundle_sha256: str
    threshold: float
    false_alarm_budget: float
    covers_logical_anomalies: bool


class Reloaded(BaseModel):
    """Whether another bundle judges from now on."""

    changed: bool
    bundle_sha256: str


def verdict_of_row(row: Mapping[str, Any]) -> Verdict:
    """Return a row of a table as it is answered."""
    names = {"path", "heatmap", "milliseconds", "bundle_sha256", *PLAIN}
    known = {name: row[name] for name in Verdict.model_fields if name in row}
    return Verdict(name=row["path"], branches={key: row[key] for key in row if key not in names}, **known)


@cache
def example_picture() -> bytes:
    """Draw a small picture for the OpenAPI page: a plate with two holes."""
    image = Image.new("RGB", (64, 48), (200, 200, 205))
    pen = ImageDraw.Draw(image)
    pen.rectangle((8, 8, 55, 39), fill=(90, 110, 140))
    for x in (16, 42):
        pen.ellipse((x, 19, x + 9, 28), fill=(200, 200, 205))
    content = io.BytesIO()
    image.save(content, format="PNG")
    return content.getvalue()


def predict_body() -> dict[str, Any]:
    """Describe the body of a request to judge pictures, with an example."""
    one: dict[str, Any]
    picture = {"name": "example.png", "data": base64.b64encode(example_picture()).decode()}
    one = {"type": "object", "required": ["data"], "properties": {"name": {"type": "string"},
           "data": {"type": "string", "format": "byte", "description": "the file, in base64"}}}  # fmt: skip
    one["properties"]["tags"] = tags = {"type": "object", "additionalProperties": {"type": "string"}}
    of_json = {"type": "object", "required": ["pictures"],
               "properties": {"pictures": {"type": "array", "items": one}, "tags": tags}}  # fmt: skip
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    fields = {"pictures": files, "tag": {"type": "array", "items": {"type": "string"}, "description": "KEY=VALUE"}}
    return {
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": of_json, "example": {"pictures": [picture], "tags": {"lot": "123"}}},
                MULTIPART: {"schema": {"type": "object", "properties": fields}},
            },
        },
        "parameters": [
            {
                "name": "tag",
                "in": "query",
                "schema": {"type": "array", "items": {"type": "string"}},
                "description": "KEY=VALUE; may be repeated",
            },
            {
                "name": TAG_HEADER,
                "in": "header",
                "schema": {"type": "string"},
                "description": "KEY=VALUE, several with commas between; other characters as in an address (%20)",
            },
        ],
    }
