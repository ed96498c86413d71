"""The README says what is true of the programs."""

import re
from pathlib import Path

import readme

SOURCES = ("geneface", "media", "speech", "worker", "controller/verdict.py", "controller/decide.py", "controller/manifest.py")
PATTERNS = (
    r'(?:InputError|TryAgainError|ManifestError|Verdict|Failed|Fail|Retry|Requeue)\(\s*"([a-z_]+)"',
    r'stable_code = "([a-z_]+)"',
    r'super\(\).__init__\("([a-z_]+)", f?"',
)
NOT_FINAL = {"job_lost", "attempt_lost", "node_lost", "pod_lost", "stopped", "step_unknown", "steps_unknown", "kind_unknown"}
"""Codes of attempts that are always tried again, and of programs that do not fit each other."""


def test_its_generated_tables_are_up_to_date() -> None:
    text = readme.README.read_text()
    assert text == readme.filled(text), "run `make readme`"


def test_every_error_code_of_a_step_is_explained() -> None:
    files = [
        file
        for name in SOURCES
        for file in ([readme.ROOT / name] if name.endswith(".py") else Path(readme.ROOT / name).rglob("*.py"))
    ]
    source = "\n".join(file.read_text() for file in files)
    codes = {code for pattern in PATTERNS for code in re.findall(pattern, source)} - NOT_FINAL
    assert len(codes) > 20
    missing = sorted(code for code in codes if f"`{code}`" not in readme.README.read_text())
    assert not missing


def test_its_local_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", readme.README.read_text()):
        assert (readme.ROOT / target).exists(), target
