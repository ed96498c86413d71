"""Dashboards ask for metrics and fields that the programs have."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from chart_tools import CHART, ROOT

from controller.manifest import IMAGES
from store.models import Kind

FOLDER = CHART / "dashboards"
SOURCES = (ROOT / "api" / "measures.py", ROOT / "controller" / "metrics.py")


def metrics() -> set[str]:
    """Every name that Prometheus gets, by the kind of metric."""
    suffixes = {"Counter": ["_total"], "Histogram": ["_bucket", "_sum", "_count"]}
    found = set()
    for source in SOURCES:
        for kind, name in re.findall(r'(\w+)\(\s*"(geneface_\w+)"', source.read_text()):
            found |= {name + suffix for suffix in suffixes.get(kind, [""])}
    return found


def asked(text: str) -> set[str]:
    return set(re.findall(r"\b(geneface_\w+)\b", text)) - {"geneface_platform"}


@pytest.mark.parametrize(
    "file", [FOLDER / "platform.json", CHART / "templates" / "monitoring" / "rules.yaml"], ids=lambda file: file.name
)
def test_metrics_exist(file: Path) -> None:
    names = asked(file.read_text())
    assert len(names) >= 6
    assert names <= metrics()


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: file.name)
def test_grafana_can_show_it(file: Path) -> None:
    board: dict[str, Any] = json.loads(file.read_text())
    assert board["uid"].startswith("geneface-")
    names = {variable["name"] for variable in board["templating"]["list"]}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["description"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel["targets"]:
            assert set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval", "__auto"} <= names
            assert target["expr"].count("(") == target["expr"].count(")")


def test_logs_are_filtered_by_what_every_line_carries() -> None:
    board = json.loads((FOLDER / "logs.json").read_text())
    choices = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert {"request", "attempt", "kind", "avatar", "step"} <= choices.keys()
    assert [option["value"] for option in choices["kind"]["options"]] == [str(kind) for kind in Kind]
    assert [option["value"] for option in choices["step"]["options"]] == list(IMAGES)
    jobs = next(panel for panel in board["panels"] if panel["title"] == "Jobs")["targets"][0]["expr"]
    for field in ("request", "attempt", "kind", "avatar", "step"):
        assert f'{field}=~"${field}"' in jobs
    assert set(re.findall(r"[a-z]+", jobs.split('container=~"')[1].split('"')[0])) == set(IMAGES)


def test_saved_searches_refer_to_their_index_pattern() -> None:
    saved = [json.loads(line) for line in (FOLDER / "opensearch.ndjson").read_text().splitlines()]
    ids = {one["id"] for one in saved}
    assert len(ids) == len(saved)
    searches = [one for one in saved if one["type"] == "search"]
    assert len(searches) == 3
    for one in searches:
        assert {reference["id"] for reference in one["references"]} <= ids
        source = json.loads(one["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
        assert source["indexRefName"] == one["references"][0]["name"]
        assert source["query"]["language"] == "kuery"
    assert {"request", "attempt", "kind", "avatar", "step"} <= set(searches[0]["attributes"]["columns"])
