"""Installing, uninstalling and installing again, by Helm and by kubectl alone; the Jobs' own images are not needed."""

import subprocess
from pathlib import Path

import httpx

from tests.cluster.conftest import ROOT, Release

MP4 = b"\0\0\0\x20ftypisom" + bytes(range(256)) * 8


def resources(release: Release, kind: str) -> set[str]:
    return set(release.kubectl("get", kind, "-o", "name").split())


def test_helm_test(release: Release) -> None:
    release.install()
    assert "Phase:          Succeeded" in release.helm("test", "geneface", "--timeout", "2m")


def test_uninstall_leaves_the_data_and_installing_again_finds_it(release: Release, tmp_path: Path) -> None:
    release.install()
    release.forward()
    file = tmp_path / "me.mp4"
    file.write_bytes(MP4)
    asset = release.upload(file)
    release.unforward()

    release.helm("uninstall", "geneface", "--wait")
    assert len(resources(release, "pvc")) == 2
    assert not resources(release, "deployments")
    assert {"secret/geneface-token", "secret/geneface-database", "secret/geneface-storage"} <= resources(release, "secrets")

    release.install()
    release.forward()
    answer = httpx.get(f"{release.url}/v1/assets/{asset}").json()
    assert answer["state"] == "ready"


def test_kubectl_apply(release: Release, images: str) -> None:
    """The demo overlay, with the images of this tree."""
    postgresql = release.values["images"]["postgresql"]
    renamed = {f"geneface-{name}": (f"localhost/geneface-{name}", images) for name in ("api", "controller", "storage")}
    renamed["postgres"] = (postgresql["repository"], postgresql["tag"])
    lines = [f"- {{name: {old}, newName: {new}, newTag: '{tag}'}}" for old, (new, tag) in renamed.items()]
    folder = ROOT / ".local/kustomize"  # a kustomization names its resources by relative paths
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(["resources: [../../manifests/overlays/demo]", "images:", *lines])
    (folder / "kustomization.yaml").write_text(text)
    try:
        release.apply("apply", "-k", folder)
        keys = subprocess.run([ROOT / "manifests/keys"], check=True, capture_output=True, text=True).stdout
        release.apply("create", "-f", "-", input=keys)
        release.namespace = "geneface"
        for what in ("deployment/geneface-api", "deployment/geneface-controller"):
            release.kubectl("rollout", "status", what, "--timeout=180s")
    finally:
        release.apply("delete", "-k", folder, "--ignore-not-found", "--timeout=180s")
