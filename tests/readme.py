"""Fills the README's tables from the programs themselves: `make readme`."""

import re
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

import api.errors
import api.settings
import controller.settings
import local.settings
import speech.service_settings

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"

PROGRAMS: dict[str, type[BaseSettings]] = {
    "api": api.settings.Settings,
    "controller": controller.settings.Settings,
    "local": local.settings.LocalSettings,
    "speech": speech.service_settings.ServiceSettings,
}

STEPS = {
    "GENEFACE_WEIGHTS_DIR": (
        "`~/.cache/geneface/weights`",
        "Folder of the optional weights. Where the API is told too, it refuses at once what lacks them",
    ),
    "GENEFACE_VISIBLE_LABEL": ("on", "`off`: no visible label in rendered videos; the metadata stays"),
    "GENEFACE_DEVICE": ("the best there is", "`cpu` or `cuda`, for training and rendering"),
    "GENEFACE_FFMPEG": ("the wheel's", "Another ffmpeg; 7.0.2 is what is tested"),
    "EVAL_WEIGHTS_DIR": (
        "`/weights`, then `GENEFACE_WEIGHTS_DIR`",
        "Folder in which eval looks for its weights, under their publishers' file names",
    ),
    "EVAL_LSE_CROP": ("`track`", "`none`: LSE of the whole frame"),
    "ZHIPU_API_KEY": ("–", "Key of the language model that answers in dialogues; the step `converse` alone sees it"),
    "ZHIPU_MODEL": ("`glm-4-flashx`", "Name of the language model"),
    "ZHIPU_BASE_URL": ("Zhipu's", "Any server that speaks OpenAI's protocol"),
}
"""Settings of the step rooms, which read the environment themselves."""


def settings() -> str:
    """One row a variable, with the programs that read it."""
    rows: dict[str, tuple[set[str], FieldInfo]] = {}
    for program, model in PROGRAMS.items():
        for name, field in model.model_fields.items():
            rows.setdefault(f"GENEFACE_{name.upper()}", (set(), field))[0].add(program)
    shared = rows.pop("GENEFACE_WEIGHTS_DIR")[0]
    lines = [
        f"| `{name}` | {', '.join(sorted(programs))} | {_default(field)} | {field.description} |"
        for name, (programs, field) in rows.items()
    ]
    readers = {"GENEFACE_WEIGHTS_DIR": ", ".join(sorted({*shared, "steps"}))}
    lines += [f"| `{name}` | {readers.get(name, 'steps')} | {default} | {text} |" for name, (default, text) in STEPS.items()]
    return "\n".join(["| variable | read by | default | what |", "| --- | --- | --- | --- |", *lines])


def filled(text: str) -> str:
    """The README with its generated tables."""
    for name, table in (("settings", settings()), ("api errors", api.errors.markdown())):
        text = re.sub(
            f"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda match, table=table: f"{match[1]}{table}\n{match[2]}",
            text,
            flags=re.S,
        )
    return text


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value is None:
        return "–"
    if isinstance(value, dict):
        return "by kind" if value and not isinstance(next(iter(value.values())), str) else "by room" if value else "`{}`"
    if field.description and "at once on this machine" in field.description:
        return "a quarter of the cores, at least 1"
    return f"`{value}`"


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
