"""Templates of `.dvc/plots` fit the plots that dvc.yaml declares with them."""

import json
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[3]
ANCHORS = ("<DVC_METRIC_DATA>", "<DVC_METRIC_TITLE>", "<DVC_METRIC_X>")


def test_every_template_is_there_and_has_dvc_s_anchors() -> None:
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    plots = [plot for body in stages.values() for plot in body.get("do", body).get("plots", [])]
    names = {options["template"] for plot in plots for options in plot.values() if "template" in options}
    assert names == {"methods", "scores", "decisions", "training"}
    for name in names:
        text = (REPOSITORY / f".dvc/plots/{name}.json").read_text(encoding="utf-8")
        assert json.loads(text)["data"] == {"values": ANCHORS[0]}, name
        assert all(f'"{anchor}"' in text for anchor in ANCHORS), name


def test_plots_of_several_methods_tell_them_apart() -> None:
    for name in ("methods", "scores", "decisions"):
        template = json.loads((REPOSITORY / f".dvc/plots/{name}.json").read_text(encoding="utf-8"))
        assert template["facet"]["row"]["field"] == "rev", name
        by_colour = template["spec"].get("encoding", {}).get("color", {}).get("field") == "method"
        assert by_colour or template["facet"]["column"]["field"] == "method", name
