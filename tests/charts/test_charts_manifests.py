"""manifests/: equal to what the chart renders, and fit for a `restricted` namespace."""

import subprocess
import sys
from typing import Any

import pytest
import yaml
from chart_tools import EVERYTHING, OVERLAYS, ROOT, Object, by_name, committed, objects, pods, program, run, template

NAMES = ("demo", "production")
HELMS_LABELS = {"helm.sh/chart", "app.kubernetes.io/managed-by"}


def without_helm(one: Object) -> Object:
    """What the chart renders, as it would be without Helm."""
    metadata = one["metadata"]
    metadata["labels"] = {name: value for name, value in metadata["labels"].items() if name not in HELMS_LABELS}
    kept = {name: value for name, value in metadata.get("annotations", {}).items() if name != "helm.sh/resource-policy"}
    metadata.pop("annotations", None)
    return {**one, "metadata": {**metadata, **({"annotations": kept} if kept else {})}}


@pytest.mark.parametrize("overlay", NAMES)
def test_manifests_are_what_the_chart_renders(overlay: str) -> None:
    values = OVERLAYS / overlay / "values.yaml"
    text = template("--no-hooks", "--values", values, release="geneface", namespace="geneface")
    expected = {key: without_helm(one) for key, one in by_name(objects(text)).items()}
    found = by_name(committed(overlay))
    assert found.pop(("Namespace", "geneface"))["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert found == expected, "run `make manifests`"


@pytest.mark.parametrize("overlay", NAMES)
def test_kustomize_reads_the_same(overlay: str) -> None:
    built = run(program("kubectl"), "kustomize", OVERLAYS / overlay).stdout
    assert by_name(objects(built)) == by_name(committed(overlay))


def test_render_finds_nothing_to_write() -> None:
    program("helm")
    run(sys.executable, ROOT / "manifests" / "render.py", "--check")


@pytest.mark.parametrize("overlay", NAMES)
def test_no_secret_lies_in_the_repository(overlay: str) -> None:
    assert all(one["kind"] != "Secret" for one in committed(overlay))


def test_keys_are_what_the_demo_waits_for_and_new_each_time() -> None:
    def keys() -> dict[tuple[str, str], Object]:
        done = subprocess.run([ROOT / "manifests" / "keys"], check=True, capture_output=True, text=True)
        return by_name(objects(done.stdout))

    made, again = keys(), keys()
    assert made.keys() == again.keys()
    for key, secret in made.items():
        for name, value in secret["stringData"].items():
            assert value != again[key]["stringData"][name]
            assert len(value) >= 20
    database = made["Secret", "geneface-database"]["stringData"]
    assert database["url"] == f"postgresql://geneface:{database['password']}@geneface-postgresql.geneface.svc:5432/geneface"
    assert len(made["Secret", "geneface-token"]["stringData"]["key"]) >= 32
    wanted = {
        (reference["name"], reference["key"])
        for _, spec in pods(committed("demo"))
        for container in spec.get("initContainers", []) + spec["containers"]
        for variable in container.get("env", [])
        if (reference := variable.get("valueFrom", {}).get("secretKeyRef")) and not reference.get("optional")
    }
    assert wanted == {(name, key) for (_, name), secret in made.items() for key in secret["stringData"]}


@pytest.mark.parametrize("source", [*NAMES, "everything", "default"])
def test_restricted_pod_security_admits_every_pod(source: str) -> None:
    """The rules of the Pod Security Standards' `restricted`, and a read-only root besides."""
    match source:
        case "everything":
            found = objects(template("--values", EVERYTHING))
        case "default":
            found = objects(template())
        case _:
            found = committed(source)
    checked = pods(found)
    assert len(checked) >= 3
    for name, spec in checked:
        assert_restricted(name, spec)


def assert_restricted(name: str, spec: dict[str, Any]) -> None:
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
    assert spec["securityContext"]["runAsNonRoot"] is True, name
    assert spec["securityContext"]["runAsUser"] > 0, name
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
    assert spec["automountServiceAccountToken"] is name.endswith("-controller"), name
    assert spec["enableServiceLinks"] is False, name
    for volume in spec.get("volumes", []):
        assert volume.keys() <= {"name", "emptyDir", "persistentVolumeClaim", "configMap", "secret"}, name
    for container in spec.get("initContainers", []) + spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
        assert context["readOnlyRootFilesystem"] is True, name
        assert {"requests", "limits"} <= container["resources"].keys(), name
        assert all("hostPort" not in port for port in container.get("ports", [])), name


def test_no_object_of_the_manifests_speaks_of_helm() -> None:
    for overlay in NAMES:
        assert "helm.sh" not in yaml.safe_dump_all(committed(overlay))
