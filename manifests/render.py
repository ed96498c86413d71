"""Writes manifests/base and manifests/overlays from the chart: `make manifests`. `--check` only says what would change.

What both overlays render alike is the base; what differs, or exists in one alone, lies in the overlay. Marks that only Helm
understands go.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
CHART = HERE.parent / "charts" / "geneface-platform"
OVERLAYS = ("demo", "production")
NAME = "geneface"
"""Release and namespace."""
HEAD = "# Made from the chart by `make manifests`.\n"

Object = dict[str, Any]
Key = tuple[str, str]


def program(name: str) -> str | None:
    """Path of helm, kubectl …: from GENEFACE_KUBE_BIN, its default, or PATH. None: it is not there."""
    folder = os.environ.get("GENEFACE_KUBE_BIN") or str(Path("~/.cache/geneface-kube/bin").expanduser())
    return shutil.which(name, path=folder) or shutil.which(name)


def rendered(overlay: str) -> dict[Key, tuple[str, Object]]:
    """What the chart makes of the overlay's values: the template's folder and the object, by kind and name."""
    helm = program("helm")
    if helm is None:
        raise SystemExit("helm is needed")
    values = HERE / "overlays" / overlay / "values.yaml"
    command = [helm, "template", NAME, CHART, "--namespace", NAME, "--no-hooks", "--values", values]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {}
    for part in re.split(r"^---\n# Source: ", text, flags=re.MULTILINE)[1:]:
        source, _, body = part.partition("\n")
        for one in filter(None, yaml.safe_load_all(body)):
            found[one["kind"], one["metadata"]["name"]] = (source.split("/")[2], plain(one))
    return found


def plain(one: Object) -> Object:
    """The object without what only Helm reads."""
    metadata = one["metadata"]
    for name in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
        metadata.get("labels", {}).pop(name, None)
    metadata.get("annotations", {}).pop("helm.sh/resource-policy", None)
    if not metadata.get("annotations", True):
        del metadata["annotations"]
    return one


def files() -> dict[Path, str]:
    """Every file that is made, with its content."""
    sets = {overlay: rendered(overlay) for overlay in OVERLAYS}
    first, *others = sets.values()
    common = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    made = _folder(HERE / "base", common)
    for overlay, found in sets.items():
        own = {key: value for key, value in found.items() if key not in common}
        made |= _folder(HERE / "overlays" / overlay, own, "../../base", "namespace.yaml")
    return made


def _folder(folder: Path, objects: dict[Key, tuple[str, Object]], *resources: str) -> dict[Path, str]:
    parts: dict[str, list[Object]] = {}
    for part, one in objects.values():
        parts.setdefault(part, []).append(one)
    made = {
        folder / f"{part}.yaml": HEAD + yaml.safe_dump_all(found, sort_keys=False, width=10_000, allow_unicode=True)
        for part, found in parts.items()
    }
    names = [*resources, *sorted(f"{part}.yaml" for part in parts)]
    kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": names}
    made[folder / "kustomization.yaml"] = HEAD + yaml.safe_dump(kustomization, sort_keys=False)
    if resources:
        made[folder / "namespace.yaml"] = HEAD + yaml.safe_dump(_namespace(), sort_keys=False)
    return made


def _namespace() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAME, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }


def stale(made: dict[Path, str]) -> list[Path]:
    """Files that lack, differ, or should not be there."""
    there = {path for folder in ("base", "overlays") for path in (HERE / folder).rglob("*.yaml") if path.name != "values.yaml"}
    return sorted((there - made.keys()) | {path for path, text in made.items() if not path.exists() or path.read_text() != text})


def main() -> int:
    """Exit code 1 when `--check` finds something."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when something would change")
    check = parser.parse_args().check
    made = files()
    changed = stale(made)
    for path in changed:
        sys.stdout.write(f"{path.relative_to(HERE.parent)}\n")
        if not check:
            if path in made:
                path.write_text(made[path])
            else:
                path.unlink()
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
