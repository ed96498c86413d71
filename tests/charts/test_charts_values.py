"""values.yaml and its schema, without helm."""

import importlib.util
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import yaml
from chart_tools import CHART, EVERYTHING, OVERLAYS, ROOT

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)


def schemas(schema: dict[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below, by its place."""
    yield place, schema
    for name in ("properties", "$defs"):
        for key, below in schema.get(name, {}).items():
            yield from schemas(below, f"{place}.{key}")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from schemas(schema[name], f"{place}[]")


@pytest.mark.parametrize(
    "file", [CHART / "values.yaml", EVERYTHING, *sorted(OVERLAYS.glob("*/values.yaml"))], ids=lambda p: p.parent.name
)
def test_our_own_values_are_accepted(file: Any) -> None:
    VALIDATOR.validate(yaml.safe_load(file.read_text()))


def test_everything_is_described_and_nothing_else_is_accepted() -> None:
    for place, schema in schemas(SCHEMA):
        assert schema.get("description"), place
        if "properties" in schema:
            assert schema["additionalProperties"] is False, place


def test_schema_and_values_name_the_same() -> None:
    def compare(schema: dict[str, Any], values: Any, place: str) -> None:
        schema = {**SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[-1]], **schema} if "$ref" in schema else schema
        if "properties" not in schema or place.endswith((".settings", "requests", "limits")):
            return
        assert set(schema["properties"]) == set(values), place
        for name, below in schema["properties"].items():
            compare(below, values[name], f"{place}.{name}")

    compare(SCHEMA, VALUES, "")


@pytest.mark.parametrize(
    "wrong",
    [
        "replicaCount: 2",
        "api: {replicas: two}",
        "api: {replicas: -1}",
        "api: {service: {type: External}}",
        "api: {settings: {uploadLimit: 2Gi}}",
        "api: {settings: {databaseUrl: 'postgresql://a'}}",
        "api: {resources: {limits: {memory: much}}}",
        "api: {tolerations: [{key: a, operater: Exists}]}",
        "controller: {settings: {maxActiveJobs: 0}}",
        "controller: {settings: {deadlines: {traning: 1}}}",
        "controller: {settings: {resources: {training: {gpu: 1}}}}",
        "controller: {metricsPort: 80}",
        "gpuClasses: {a100: {resourse: nvidia.com/gpu}}",
        "gpuClasses: {'a b': {}}",
        "global: {imagePullSecrets: [{name: a}]}",
        "images: {api: 'geneface-api:1'}",
        "images: {api: {digest: 'sha256:1'}}",
        "imagePullPolicy: Sometimes",
        "fullnameOverride: Faces",
        "postgresql: {mode: none}",
        "postgresql: {external: {url: 'mysql://a'}}",
        "objectStorage: {endpoint: s3.example.com}",
        "objectStorage: {bucket: Faces}",
        "networkPolicy: {api: {peers: [{}]}}",
        "networkPolicy: {api: {peers: [{ipBlock: {cidr: everywhere}}]}}",
        "networkPolicy: {dns: {ports: [dns]}}",
        "ingress: {enabled: 'yes'}",
        "monitoring: {serviceMonitor: {interval: often}}",
        "weights: {persistence: {accessModes: [ReadWrite]}}",
        "speech: {engine: festival}",
        "speech: {ttsUrl: 'tts:80'}",
        "reply: {key: secret}",
        "tts: {engine: http}",
        "tts: {settings: {ttsPort: 1}}",
    ],
)
def test_wrong_values_are_refused(wrong: str) -> None:
    assert not VALIDATOR.is_valid(yaml.safe_load(wrong))


def test_the_programs_settings_stand_in_the_schema() -> None:
    spec = importlib.util.spec_from_file_location("chart_settings", ROOT / "charts" / "settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.text() == (CHART / "values.schema.json").read_text(), "run `make manifests`"


def test_the_chart_has_the_projects_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    assert chart["version"] == chart["appVersion"] == version[1]
