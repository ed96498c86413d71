"""The chart for tests: rendered by helm where it is, and the committed manifests, which equal what it renders."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "geneface-platform"
OVERLAYS = ROOT / "manifests" / "overlays"
EVERYTHING = Path(__file__).parent / "everything.yaml"
"""Values that turn everything on."""

Object = dict[str, Any]


def program(name: str) -> str:
    """Path of helm, kubectl …: from GENEFACE_KUBE_BIN, its default, or PATH; skips the test where it is nowhere."""
    folder = os.environ.get("GENEFACE_KUBE_BIN") or str(Path("~/.cache/geneface-kube/bin").expanduser())
    found = shutil.which(name, path=folder) or shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def run(*command: str | Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


def template(*options: str | Path, release: str = "talk", namespace: str = "faces") -> str:
    return run(program("helm"), "template", release, CHART, "--namespace", namespace, *options).stdout


def objects(text: str) -> list[Object]:
    return [one for one in yaml.safe_load_all(text) if one]


def committed(overlay: str) -> list[Object]:
    """The overlay with its base, as kustomize reads it: nothing but resources."""
    found = []
    folders = [OVERLAYS / overlay]
    while folders:
        folder = folders.pop()
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        assert kustomization.keys() == {"apiVersion", "kind", "resources"}
        for name in kustomization["resources"]:
            path = folder / name
            if path.is_dir():
                folders.append(path)
            else:
                found += objects(path.read_text())
    return found


def by_name(found: list[Object]) -> dict[tuple[str, str], Object]:
    """No two may have the same kind and name."""
    named = {(one["kind"], one["metadata"]["name"]): one for one in found}
    assert len(named) == len(found)
    return named


def pods(found: list[Object]) -> list[tuple[str, Object]]:
    """Every pod that is, or is made from a template: name and spec."""
    specs = []
    for one in found:
        match one["kind"]:
            case "Pod":
                specs.append((one["metadata"]["name"], one["spec"]))
            case "Deployment" | "StatefulSet" | "Job":
                specs.append((one["metadata"]["name"], one["spec"]["template"]["spec"]))
    return specs
