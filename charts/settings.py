"""Fills `api.settings`, `controller.settings` and `tts.settings` in the chart's schema from the programs themselves.

`make manifests` runs it.

GENEFACE_SOME_NAME is `someName` there. What the chart sets from its other values (addresses, keys, images …) is left out.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import api.settings  # noqa: E402
import controller.settings  # noqa: E402
import speech.service_settings  # noqa: E402
from store.models import Kind  # noqa: E402
from store.settings import StoreSettings  # noqa: E402

SCHEMA = ROOT / "charts" / "geneface-platform" / "values.schema.json"
PROGRAMS: dict[str, type[BaseSettings]] = {
    "api": api.settings.Settings, "controller": controller.settings.Settings, "tts": speech.service_settings.ServiceSettings,
}  # fmt: skip
ELSEWHERE = {
    "api": {
        "host", "port", "gpu_classes", "namespace", "tts_engine", "coqui_tos_agreed", "reply_available", "weights_dir",
    },
    "controller": {
        "cluster", "namespace", "instance", "identity", "kubeconfig", "api_url", "images", "image_pull_policy",
        "image_pull_secrets", "gpu_classes", "weights_claim", "metrics_listen_port", "work_folder", "slots",
        "tts_engine", "tts_url", "coqui_tos_agreed", "reply_secret",
    },
    "tts": {"tts_host", "tts_port"},
}  # fmt: skip
"""Settings that other values stand for, or that mean nothing on a cluster."""
KEPT = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "enum", "pattern")

Schema = dict[str, Any]


def filled(schema: Schema) -> Schema:
    """The schema with the programs' settings as they are now."""
    for program, model in PROGRAMS.items():
        schema["properties"][program]["properties"]["settings"]["properties"] = _properties(program, model)
    return schema


def camel(name: str) -> str:
    """poll_seconds → pollSeconds."""
    return re.sub(r"_(.)", lambda match: match[1].upper(), name)


def _properties(program: str, model: type[BaseSettings]) -> Schema:
    described = model.model_json_schema()["properties"]
    left_out = set(StoreSettings.model_fields) | ELSEWHERE[program]
    return {
        camel(name): {"description": f"GENEFACE_{name.upper()}: {field.description}", **_type(name, described[name])}
        for name, field in model.model_fields.items()
        if name not in left_out
    }


def _type(name: str, described: Schema) -> Schema:
    """Of a field that may be absent, the type that it has when it is there."""
    described = next((one for one in described.get("anyOf", ()) if one.get("type") != "null"), described)
    if described["type"] == "object":
        return {"type": "object", **_members(name)}
    return {"type": described["type"], **{key: described[key] for key in KEPT if key in described}}


def _members(name: str) -> Schema:
    quantity = {"$ref": "#/$defs/quantity"}
    by_kind: dict[str, Schema] = {
        "deadlines": {"type": "integer", "minimum": 1},
        "resources": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"cpu": {"description": "CPUs", **quantity}, "memory": {"description": "Memory", **quantity}},
        },
    }
    if name in by_kind:
        kinds = {str(kind): {"description": f"For kind {kind}", **by_kind[name]} for kind in Kind}
        return {"additionalProperties": False, "properties": kinds}
    return {"additionalProperties": {"description": "A value", "type": "string"}}


def text() -> str:
    """The file as it should be."""
    return json.dumps(filled(json.loads(SCHEMA.read_text())), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(text())
