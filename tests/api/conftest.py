"""A running API over real PostgreSQL and S3, and short ways to what most tests need."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from api.app import create
from api.server import Server, listen
from api.settings import Settings
from store import attempts, ids, jobs, tokens
from store.database import Database
from store.objects import Objects, attempt_prefix

TOKEN_KEY = "k" * 32
CONSENT = {"statement": "I agree that a talking model of my face is made.", "by": "Ada"}
MP4 = b"\0\0\0\x20ftypisom" + bytes(range(256)) * 8
MODEL = ("model/model.json", "model/weights.safetensors")


@dataclass(frozen=True)
class Running:
    """A served application."""

    app: FastAPI
    server: Server
    settings: Settings
    url: str

    @property
    def database(self) -> Database:
        return self.app.state.platform.database

    @property
    def objects(self) -> Objects:
        return self.app.state.platform.objects


@pytest.fixture(scope="module")
def make_settings(postgres_url: str, s3: Any) -> Callable[..., Settings]:
    def make(**changes: Any) -> Settings:
        values: dict[str, Any] = {
            "database_url": postgres_url, "s3_endpoint": s3.s3_endpoint, "s3_access_key": s3.s3_access_key,
            "s3_secret_key": s3.s3_secret_key, "s3_bucket": s3.s3_bucket, "token_key": TOKEN_KEY,
            "poll_seconds": 0.2, "heartbeat_seconds": 0.5, "shutdown_seconds": 5, "upload_limit": 40 << 20,
        }  # fmt: skip
        return Settings(**values | changes)

    return make


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Settings], Running]]:
    """Serves applications until the module ends."""
    served: list[tuple[Server, threading.Thread]] = []

    def start(settings: Settings) -> Running:
        settings = settings.model_copy(update={"port": 0})
        listener = listen(settings)
        app = create(settings)
        server = Server(app, settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        served.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return Running(app, server, settings, f"http://127.0.0.1:{listener.getsockname()[1]}")

    yield start
    for server, _ in served:
        server.should_exit = True
    for _, thread in served:
        thread.join(timeout=20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def running(make_settings: Callable[..., Settings], serve: Callable[[Settings], Running]) -> Running:
    return serve(make_settings())


@pytest.fixture
def client(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=30) as client:
        yield client


@dataclass
class Worker:
    """A run of an attempt, at the workers' door."""

    client: httpx.Client
    objects: Objects
    request: UUID
    number: int
    attempt: UUID
    run: str = "run-1"
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.token = self.token or tokens.sign(self.attempt, TOKEN_KEY)
        self.headers = {"Authorization": f"Bearer {self.token}"}

    def post(self, path: str, **body: Any) -> httpx.Response:
        content = json.dumps({"run": self.run, **body})
        headers = {**self.headers, "Content-Type": "application/json"}
        return self.client.post(f"/v1/attempts/{self.attempt}/{path}", content=content, headers=headers)

    def put(self, *names: str, data: bytes = b"data") -> list[dict[str, Any]]:
        """Uploads the files as a worker does, and returns how they are named in publish."""
        files = [{"name": name, "size": len(data), "sha256": sha256(data).hexdigest()} for name in names]
        found = self.post("links", put=files).json()["put"]
        for name in names:
            assert httpx.put(found[name]["url"], content=data, headers=found[name]["headers"]).status_code == 200
        return files


@dataclass(frozen=True)
class Platform:
    """What people and workers do, in short."""

    client: httpx.Client
    running: Running

    def asset(self, data: bytes | None = None, filename: str = "me.mp4") -> str:
        """A ready asset; like no other, unless `data` is given."""
        data = MP4 + ids.new().bytes if data is None else data
        body = {"filename": filename, "size": len(data)}
        made = self.client.post("/v1/assets", json=body).json()
        assert httpx.put(made["upload"]["url"], content=data, headers=made["upload"]["headers"]).status_code == 200
        done = self.client.post(f"/v1/assets/{made['id']}/complete")
        assert done.json()["state"] == "ready", done.text
        return str(made["id"])

    def post(self, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def training(self, avatar: str, **more: Any) -> dict[str, Any]:
        body = {"avatar": avatar, "consent": CONSENT, "profile": "quick", **more}
        if "video" not in body:
            body["video"] = {"asset": self.asset()}
        return self.post("/v1/trainings", body)

    def worker(self, request: str, run: str = "run-1") -> Worker:
        """What the controller does: the request's next attempt is submitted; its worker has not claimed yet."""
        with self.running.database.begin() as session:
            row, _ = jobs.load(session, [UUID(request)])[UUID(request)]
            attempt = jobs.submit(session, UUID(request), row.attempt + 1)
            assert attempt is not None
        return Worker(self.client, self.running.objects, UUID(request), attempt.number, attempt.id, run)

    def trained(self, avatar: str) -> dict[str, Any]:
        """An avatar with one more version; the training's answer."""
        request = self.training(avatar)
        worker = self.worker(request["id"])
        files = [{"name": name, "size": 4, "sha256": sha256(b"data").hexdigest()} for name in MODEL]
        prefix = attempt_prefix(worker.request, worker.number)
        self.running.objects.put(prefix + "report.json", b"data")
        with self.running.database.begin() as session:
            attempts.claim(session, worker.attempt, worker.run, "train", None)
            output = {"key": prefix + "report.json", "size": 4, "sha256": sha256(b"data").hexdigest()}
            result = {"outputs": {"report": output}, "scores": None}
            attempts.publish_result(session, worker.attempt, worker.run, files, lambda *_: result)
        return dict(self.client.get(f"/v1/requests/{request['id']}").json())


@pytest.fixture
def platform(client: httpx.Client, running: Running) -> Platform:
    return Platform(client, running)
