"""What the chart renders, by helm and the tools around it; each is skipped by name where it is not."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart_tools import CHART, EVERYTHING, OVERLAYS, Object, by_name, committed, objects, pods, program, run, template

import api.settings
import controller.settings
import speech.service_settings
from store.settings import StoreSettings

PRODUCTION = OVERLAYS / "production" / "values.yaml"
KUBERNETES = ("1.29.0", "1.35.0")
"""Oldest and newest that the chart is checked against."""
SECRETS = {
    "GENEFACE_DATABASE_URL": "postgresql://a:b@c/d", "GENEFACE_S3_ACCESS_KEY": "a", "GENEFACE_S3_SECRET_KEY": "s",
    "GENEFACE_TOKEN_KEY": "k" * 32,
}  # fmt: skip
STEPS = {"GENEFACE_WEIGHTS_DIR", "GENEFACE_TTS_ENGINE"}
"""What step programs read from the environment themselves, as far as the chart sets it."""


@pytest.fixture(scope="module")
def everything() -> list[Object]:
    return objects(template("--values", EVERYTHING))


@pytest.mark.parametrize("values", [None, EVERYTHING, PRODUCTION], ids=["default", "everything", "production"])
def test_helm_finds_no_fault(values: Path | None) -> None:
    run(program("helm"), "lint", "--strict", CHART, *(["--values", values] if values else []))


def test_the_charts_own_suites_pass() -> None:
    assert re.search(r"Tests: +(\d+) passed, \1 total", run(program("helm-unittest"), "--strict", CHART).stdout)


@pytest.mark.parametrize("wrong", ["api.replicas=two", "api.replica=2", "controller.settings.databaseUrl=a"])
def test_helm_refuses_wrong_values(wrong: str) -> None:
    done = run(program("helm"), "template", CHART, "--set", wrong, check=False)
    assert done.returncode != 0
    assert wrong.split("=", maxsplit=1)[0].rsplit(".", maxsplit=1)[-1] in done.stderr


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_what_kubernetes_expects(version: str, tmp_path: Path) -> None:
    """kubeconform fetches its schemas."""
    file = tmp_path / "all.yaml"
    file.write_text(template("--values", EVERYTHING))
    command = [program("kubeconform"), "-strict", "-ignore-missing-schemas", "-kubernetes-version", version, file]
    done = run(*command, check=False)
    if "failed downloading schema" in done.stdout + done.stderr:
        pytest.skip("needs kubeconform's schemas")
    assert done.returncode == 0, done.stdout


def test_what_is_rendered_twice_is_the_same_but_for_generated_keys() -> None:
    options = ("--values", PRODUCTION)
    assert template(*options) == template(*options)


def test_names_fit_whatever_the_release_is_called() -> None:
    longest = "r" * 53
    found = objects(template("--values", EVERYTHING, "--set", "fullnameOverride=" + "f" * 80, release=longest))
    for one in found:
        assert len(one["metadata"]["name"]) <= 63
        for value in one["metadata"]["labels"].values():
            assert len(str(value)) <= 63


def test_everything_of_one_installation_is_told_from_anothers() -> None:
    first, second = (by_name(objects(template(release=release))) for release in ("one", "two"))
    assert not first.keys() & second.keys()


def test_a_changed_migration_is_another_job() -> None:
    def name(*options: str) -> str:
        found = objects(template("--show-only", "templates/store/migrate.yaml", *options))
        return str(found[0]["metadata"]["name"])

    assert name() == name()
    assert len({name(), name("--set-string", "images.controller.tag=2"), name("--set", "migrations.tries=3")}) == 3


def test_pods_start_anew_when_their_settings_change() -> None:
    def annotations(*options: str) -> Any:
        found = objects(template("--show-only", "templates/api/deployment.yaml", *options))
        return found[0]["spec"]["template"]["metadata"]["annotations"]

    before = annotations()
    assert annotations("--set", "api.settings.logLevel=debug")["checksum/config"] != before["checksum/config"]
    assert annotations("--set", "objectStorage.bucket=other")["checksum/store"] != before["checksum/store"]
    assert annotations("--set", "token.existingSecret=other")["checksum/secrets"] != before["checksum/secrets"]


def test_every_variable_is_a_known_setting(everything: list[Object]) -> None:
    known = {
        "api": set(api.settings.Settings.model_fields), "controller": set(controller.settings.Settings.model_fields),
        "store": set(StoreSettings.model_fields), "tts": set(speech.service_settings.ServiceSettings.model_fields),
    }  # fmt: skip
    seen = set()
    for one in everything + committed("demo") + committed("production"):
        part = one["metadata"]["name"].rsplit("-", 1)[-1]
        if one["kind"] == "ConfigMap" and part in known:
            for name in one["data"]:
                assert name.removeprefix("GENEFACE_").lower() in known[part], f"{part}: {name}"
                seen.add(name)
    for name, spec in pods(everything):
        for container in spec.get("initContainers", []) + spec["containers"]:
            for variable in container.get("env", []):
                if variable["name"].startswith("GENEFACE_") and variable["name"] not in STEPS:
                    assert variable["name"].removeprefix("GENEFACE_").lower() in known["store"], f"{name}: {variable['name']}"
    assert {"GENEFACE_INSTANCE", "GENEFACE_UPLOAD_LIMIT", "GENEFACE_S3_ENDPOINT", "GENEFACE_TTS_QUEUE"} <= seen


@pytest.mark.parametrize("part", ["api", "controller"])
def test_the_programs_take_the_settings_that_they_are_given(
    everything: list[Object], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = by_name(everything)
    given = {**maps["ConfigMap", "talk-store"]["data"], **maps["ConfigMap", f"talk-{part}"]["data"], **SECRETS}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings: Any = (api.settings if part == "api" else controller.settings).Settings()
    assert settings.gpu_classes.keys() == {"a100", "slice"}
    assert settings.s3_public_endpoint == "https://media.example.com"
    if part == "controller":
        assert settings.gpu_classes["a100"].node_labels == {"nvidia.com/gpu.product": "A100"}
        assert settings.gpu_classes["a100"].max_active == 4
        assert settings.deadlines["training"] == 86400
        assert settings.images["eval"] == "registry.example/faces/geneface-eval:0.1.0"
        assert settings.image_pull_secrets == ("registry",)
        assert settings.api_url == "http://talk-api.faces.svc:80"
        assert settings.weights_claim == "talk-weights"
        assert (settings.tts_engine, settings.tts_url) == ("http", "http://talk-tts.faces.svc:80")
        assert (settings.coqui_tos_agreed, settings.reply_secret) == (True, "zhipu")
        assert settings.step_environment == {
            "GENEFACE_VISIBLE_LABEL": "off", "ZHIPU_MODEL": "glm-4-flashx", "ZHIPU_BASE_URL": "https://llm.example.com/v1",
        }  # fmt: skip
    else:
        assert settings.upload_limit == 2 << 30
        assert (settings.tts_engine, settings.reply_available, settings.weights_dir) == ("http", True, None)


def test_alerts_and_policies_are_whole(everything: list[Object]) -> None:
    """Every rule has what a person needs; every policy says of both directions that it means them."""
    for one in everything:
        if one["kind"] == "PrometheusRule":
            for rule in one["spec"]["groups"][0]["rules"]:
                assert rule["expr"].count("{") == rule["expr"].count("}")
                assert rule["annotations"]["summary"]
                assert rule["labels"]["severity"] in ("warning", "critical")
        if one["kind"] == "NetworkPolicy" and not one["metadata"]["name"].endswith("-dns"):
            assert one["spec"]["policyTypes"] == ["Ingress", "Egress"]
            for rule in one["spec"].get("ingress") or []:
                assert rule["from"]
            for rule in one["spec"].get("egress") or []:
                assert rule["to"]


def test_the_demo_is_what_is_installed_without_values() -> None:
    """But for what helm generates and the number of pods."""
    plain = by_name(objects(template("--no-hooks", release="geneface", namespace="geneface")))
    missing = plain.keys() - by_name(committed("demo")).keys()
    left = {(kind, name) for kind, name in missing if kind != "Secret" and "dashboard" not in name and "migrate" not in name}
    assert left == set()


def test_yaml_says_nothing_twice() -> None:
    """A key given twice is silently the last one's."""

    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader: Any, node: Any) -> Any:
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{node.start_mark}: {keys}"
        return yaml.SafeLoader.construct_mapping(loader, node, deep=True)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    for text in (template("--values", EVERYTHING), template("--values", PRODUCTION), (CHART / "values.yaml").read_text()):
        list(yaml.load_all(text, Loader))
