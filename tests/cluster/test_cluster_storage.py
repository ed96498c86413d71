"""The same way of a request on every object storage: servers of one's own, the embedded one, MinIO in its place."""

import os
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.cluster.conftest import Release, image, secured

KEYS = {"accessKey": "somebody", "secretKey": "something-secret"}
PASSWORD = "p4ssword"


def minio_image() -> str:
    name = os.environ.get("MINIO_IMAGE")
    if not name:
        pytest.skip("no MinIO: MINIO_IMAGE is not set (an image whose command is `minio server /data`)")
    return name


def embedded(_release: Release) -> None:
    pass


def minio(release: Release) -> None:
    """The embedded server's pod with another image, as values.yaml describes it."""
    release.values["images"]["storage"] = image(minio_image())
    release.values["objectStorage"]["embedded"] |= {
        "command": ["minio", "server", "/data"], "args": [],
        "env": [
            {"name": "MINIO_ROOT_USER", "value": "$(S3_ACCESS_KEY)"},
            {"name": "MINIO_ROOT_PASSWORD", "value": "$(S3_SECRET_KEY)"},
        ],
    }  # fmt: skip


def external(release: Release) -> None:
    """A PostgreSQL and a MinIO that the chart knows nothing of."""
    server = release.values["images"]["postgresql"]
    serve(
        release, "database", f"{server['repository']}:{server['tag']}", 5432,
        POSTGRES_USER="faces", POSTGRES_PASSWORD=PASSWORD, POSTGRES_DB="faces", PGDATA="/data/pg",
    )  # fmt: skip
    serve(release, "minio", minio_image(), 9000, MINIO_ROOT_USER=KEYS["accessKey"], MINIO_ROOT_PASSWORD=KEYS["secretKey"])
    url = f"postgresql://faces:{PASSWORD}@database.{release.namespace}.svc:5432/faces"
    release.values["postgresql"] = {"mode": "external", "external": {"url": url}}
    release.values["objectStorage"] = {
        "mode": "external", "external": KEYS, "endpoint": f"http://minio.{release.namespace}.svc:9000",
        "publicEndpoint": release.values["objectStorage"]["publicEndpoint"],
    }  # fmt: skip
    release.storage = "minio"


def serve(release: Release, name: str, server: str, port: int, **environment: str) -> None:
    container = secured(name, server, port, env=[{"name": key, "value": value} for key, value in environment.items()])
    container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    release.serve(container, port, 999 if port == 5432 else 10001, {"name": "data", "emptyDir": {}})


@pytest.mark.parametrize(
    "storage", [external, pytest.param(minio, marks=pytest.mark.slow), pytest.param(embedded, marks=pytest.mark.slow)]
)
def test_training_rendering_and_evaluation(release: Release, storage: Callable[[Release], None]) -> None:
    storage(release)
    release.stand_in(1)
    release.install()
    release.forward()
    release.avatar("ann")
    rendering = release.final(release.rendering("ann"), 90)
    assert rendering["state"] == "succeeded", rendering["error"]
    assert fetched(rendering) == b"video.mp4"
    evaluation = release.final(release.post("/v1/evaluations", {"avatar": "ann"})["id"], 90)
    assert evaluation["state"] == "succeeded", evaluation["error"]
    assert '"stage": "compare"' in release.logs(evaluation["id"])
    release.wait(lambda: not release.jobs(), 60, "the Jobs to be cleared away")


def fetched(request: dict[str, Any]) -> bytes:
    """By the link that a browser gets, whole and in part; rclone says 200 where others say 206."""
    url = request["outputs"]["video"]["url"]
    whole = httpx.get(url, timeout=30)
    assert whole.status_code == 200, whole.text
    part = httpx.get(url, timeout=30, headers={"Range": "bytes=2-4"})
    assert part.is_success
    assert part.content == whole.content[2:5]
    return whole.content
