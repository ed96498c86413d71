"""PostgreSQL or S3 stopped for a while: 503 within seconds, and all is well again by itself."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.servers import Postgres
from store import migrate
from store.database import Database


@pytest.fixture(scope="module")
def own_postgres(servers_folder: Path) -> Iterator[tuple[Postgres, str]]:
    """A server of our own to stop, so that others' tests go on."""
    server = Postgres(servers_folder / "pg-outage")
    url = server.start()
    database = Database(url)
    migrate.upgrade(database)
    database.close()
    yield server, url
    server.stop()


def unavailable(answer: httpx.Response, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, code), answer.text
    assert int(answer.headers["Retry-After"]) > 0


def until_ready(client: httpx.Client, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_database_is_away(own_postgres: tuple[Postgres, str], make_settings: Any, serve: Callable[..., Any]) -> None:
    server, url = own_postgres
    running = serve(make_settings(database_url=url))
    with httpx.Client(base_url=running.url, timeout=30) as client:
        until_ready(client)
        assert client.post("/v1/assets", json={"filename": "a.mp4", "size": 1}).status_code == 201
        server.stop()
        started = time.monotonic()
        for path in ("/v1/requests", "/v1/assets", "/readyz"):
            unavailable(client.get(path), "database_unavailable")
        unavailable(client.post("/v1/assets", json={"filename": "a.mp4", "size": 1}), "database_unavailable")
        assert time.monotonic() - started < 10
        assert client.get("/healthz").status_code == 200
        assert "geneface_database_up 0.0" in client.get("/metrics").text
        server.start()
        until_ready(client)
        assert client.post("/v1/assets", json={"filename": "a.mp4", "size": 1}).status_code == 201


def test_the_objects_are_away(platform: Any, client: httpx.Client, s3: Any) -> None:
    asset = platform.asset()
    pending = client.post("/v1/assets", json={"filename": "a.mp4", "size": 1}).json()
    body = {"avatar": "ann", "video": {"asset": asset}, "consent": {"statement": "I agree", "by": "Ann"}}
    s3.server.stop()
    try:
        started = time.monotonic()
        unavailable(client.get("/readyz"), "storage_unavailable")
        unavailable(client.post(f"/v1/assets/{pending['id']}/complete"), "storage_unavailable")
        unavailable(client.post("/v1/trainings", json=body), "storage_unavailable")
        unavailable(client.post("/v1/assets", files={"file": ("cut.mp4", b"\0\0\0\x20ftypisom")}), "storage_unavailable")
        assert time.monotonic() - started < 20
        assert client.get("/v1/requests").json()["items"] == []
    finally:
        s3.server.start()
    until_ready(client)
    assert client.post("/v1/trainings", json=body).status_code == 202
    assert "cut.mp4" not in [item["filename"] for item in client.get("/v1/assets").json()["items"]]


def test_a_stream_outlives_an_outage(own_postgres: tuple[Postgres, str], make_settings: Any, serve: Callable[..., Any]) -> None:
    from store import requests
    from store.models import Kind

    server, url = own_postgres
    running = serve(make_settings(database_url=url))
    with running.database.begin() as session:
        request = requests.create(
            session, owner="local", kind=Kind.EVALUATION, spec={"inputs": [], "steps": ["evaluate"]}, uses=[]
        )
    with httpx.Client(base_url=running.url, timeout=30) as client:
        headers = {"Accept": "text/event-stream"}
        with client.stream("GET", f"/v1/requests/{request.id}/events", headers=headers) as answer:
            lines = answer.iter_lines()
            assert next(line for line in lines if line.startswith("event:")) == "event: created"
            server.stop()
            time.sleep(0.5)
            server.start()
            until_ready(client)
            with running.database.begin() as session:
                requests.cancel(session, request.id, "local")
            assert "event: cancelled" in list(lines)


def test_a_database_without_a_schema(postgres_server: str, make_settings: Any, serve: Callable[..., Any]) -> None:
    running = serve(make_settings(database_url=postgres_server))
    for path in ("/readyz", "/v1/requests"):
        unavailable(httpx.get(running.url + path), "schema_outdated")
