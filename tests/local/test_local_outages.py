"""What the platform needs is away, at full length: refused with a stable code meanwhile, and all is well again by itself."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from load import Load
from running import Up

from local.servers import Keys, ObjectServer, Postgres, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

AWAY_SECONDS = 30
log = logging.getLogger(__name__)

KEYS = Keys("own-access", "own-secret-key")


@pytest.fixture
def own_servers(servers_folder: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Postgres, ObjectServer, dict[str, str]]]:
    """Servers of the test's own to stop, and the settings that name them."""
    folder = servers_folder / f"own-{abs(hash(request.node.name)) % 10**6}"
    postgres, objects = Postgres(folder / "pg"), ObjectServer(folder / "s3", free_port(), KEYS)
    settings = {
        "GENEFACE_DATABASE_URL": postgres.start(), "GENEFACE_S3_ENDPOINT": objects.start(),
        "GENEFACE_S3_ACCESS_KEY": KEYS.access, "GENEFACE_S3_SECRET_KEY": KEYS.secret,
    }  # fmt: skip
    yield postgres, objects, settings
    postgres.stop()
    objects.stop()


def ready(up: Up) -> bool:
    try:
        return httpx.get(f"{up.url}/readyz", timeout=30).status_code == 200
    except httpx.TransportError:
        return False


def in_training(up: Up, request: str) -> bool:
    row = up.get(request)
    return row["state"] == "running" and row["stage"] == "train" and row["progress"] > 0


@pytest.mark.parametrize(
    ("server", "code"), [(0, "database_unavailable"), (1, "storage_unavailable")], ids=["postgresql", "object storage"]
)
def test_away_for_half_a_minute_under_load(own_servers: Any, make_up: Callable[..., Up], server: int, code: str) -> None:
    stopped, settings = own_servers[server], own_servers[2]
    up = make_up(seconds="3", GENEFACE_SLOTS="3", **settings)
    up.start()
    up.avatar("ann")
    with Load(up, "ann") as load:
        training = up.training("bob")
        up.wait(lambda: in_training(up, training), 60, "the training to be under way")
        stopped.stop()
        time.sleep(AWAY_SECONDS)
        stopped.start()
        back = time.monotonic()
        up.wait(lambda: ready(up), 15, "the platform to be ready again")
        up.wait(lambda: any(one.at > back and one.status == 202 for one in load.answers), 15, "a request to be accepted again")
        time.sleep(5)
    log.info(load.summary())
    assert not load.broken
    assert load.refused() == {(503, code)}
    late = {(one.what, one.status, one.code) for one in load.answers if one.at > back + 15 and one.status >= 300}
    assert not late, "it has recovered"
    assert all(len(ids) == 1 for ids in load.accepted.values()), "asked for twice, made once"
    requests = [training, *(one for ids in load.accepted.values() for one in ids)]
    rows = [up.final(request, 180) for request in requests]
    assert {(row["state"], row["attempt"]) for row in rows} == {("succeeded", 1)}, rows
    everything = httpx.get(f"{up.url}/v1/requests", params={"limit": 100}).json()["items"]
    assert {row["id"] for row in everything if row["avatar"] != "ann" or row["kind"] != "training"} == set(requests)
    for asset in load.uploaded:
        link = httpx.get(f"{up.url}/v1/assets/{asset}").json()
        assert link["state"] == "ready", link


class Apart(Up):
    """API and controller as programs of their own, as in a cluster."""

    def __init__(self, home: Path, seconds: str, settings: dict[str, str]) -> None:
        super().__init__(home, seconds, **settings)
        home.mkdir()
        self.environment |= {
            "GENEFACE_API_URL": self.url,
            "GENEFACE_TOKEN_KEY": "k" * 40,
            "GENEFACE_WORK_FOLDER": str(home / "cluster"),
        }
        self.programs: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, program: str) -> None:
        with (self.home / "platform.log").open("ab") as output:
            self.programs[program] = subprocess.Popen(
                [sys.executable, "-m", program], env=self.environment, stdout=output, stderr=output, cwd=self.home.parent
            )

    def start(self) -> None:
        subprocess.run([sys.executable, "-m", "store.migrate"], env=self.environment, check=True)
        self.run("api")
        self.run("controller")
        self.wait(lambda: ready(self), 40, "the API to be ready")

    def end(self) -> None:
        for program in reversed(self.programs.values()):
            program.terminate()
            assert program.wait(30) == 0
        self.wait(lambda: not self.processes(), 10, "its processes to end")


@pytest.mark.parametrize("how", ["killed", "hung"])
def test_the_api_is_away_for_two_minutes(own_servers: Any, tmp_path: Path, how: str) -> None:
    _, objects, settings = own_servers
    from store.objects import Objects
    from store.settings import StoreSettings

    up = Apart(tmp_path / "home", "15", settings)
    Objects(
        StoreSettings(**{key[9:].lower(): value for key, value in up.environment.items() if key.startswith("GENEFACE_")})
    ).ensure_bucket()
    up.start()
    try:
        request = up.training("ann")
        up.wait(lambda: in_training(up, request), 90, "the training to be under way")
        before = up.get(request)
        if how == "killed":
            up.programs["api"].kill()
            up.programs["api"].wait()
        else:
            up.programs["api"].send_signal(signal.SIGSTOP)
        time.sleep(120)
        if how == "killed":
            up.run("api")
        else:
            up.programs["api"].send_signal(signal.SIGCONT)
        up.wait(lambda: ready(up), 40, "the API to be ready again")
        row = up.final(request, 120)
        assert (row["state"], row["attempt"]) == ("succeeded", before["attempt"]), row
        assert [version["version"] for version in httpx.get(f"{up.url}/v1/avatars/ann").json()["versions"]] == [1]
        assert httpx.get(row["outputs"]["report"]["url"]).json() == {"resumed_from": 0}, "the same run went on"
        models = [where for where, _, files in os.walk(objects.folder) if "model.json" in files and request in where]
        assert len(models) == 1
        lines = httpx.get(f"{up.url}/v1/requests/{request}/logs").text.splitlines()
        done = [line["done"] for line in map(json.loads, lines) if line.get("stage") == "train" and "done" in line]
        assert done == sorted(set(done)) and done[-1] == 10, "no line is lost, none is there twice"
    finally:
        up.end()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of its own for the state folder, of 250 MB."""
    with tempfile.TemporaryDirectory(prefix="gf-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        disk = Path(folder) / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=250m,mode=755", "tmpfs", str(disk)], capture_output=True, text=True, check=False
        )
        if mounted.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
        yield disk
        subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Takes all the room that is left."""
    with (disk / "filler").open("ab", buffering=0) as filler:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError:
                continue


def crash(database: Path) -> None:
    """PostgreSQL panics when there is no room for its log, and cannot start before there is."""
    with pytest.raises(psycopg.OperationalError), psycopg.connect(host=str(database), user="postgres") as connection:
        for _ in range(100):
            connection.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000))")


@pytest.mark.parametrize("database_crashes", [False, True])
def test_a_full_disk(small_disk: Path, database_crashes: bool) -> None:
    up = Up(small_disk, seconds="3", GENEFACE_BACKOFF_SECONDS="2")
    up.start()
    try:
        up.avatar("ann")
        with Load(up, "ann") as load:
            training = up.training("bob")
            up.wait(lambda: in_training(up, training), 60, "the training to be under way")
            for _ in range(AWAY_SECONDS):
                fill(small_disk)
                time.sleep(1)
            if database_crashes:
                crash(small_disk / "postgres")
                assert not ready(up)
                time.sleep(10)
                assert not ready(up), "it cannot start without room"
            assert any(one.status == 503 for one in load.answers), load.summary()
            (small_disk / "filler").unlink()
            back = time.monotonic()
            up.wait(lambda: ready(up), 60, "the platform to be ready again")
            up.wait(lambda: any(one.at > back and one.status == 202 for one in load.answers), 30, "a request to be accepted")
            time.sleep(5)
        log.info(load.summary())
        assert not load.broken
        assert load.refused() <= {(503, "database_unavailable"), (503, "storage_unavailable")}
        rows = [up.final(request, 180) for request in [training, *(one for ids in load.accepted.values() for one in ids)]]
        log.info([(row["kind"], row["state"], row["attempt"], row["error"]) for row in rows])
        assert {row["state"] for row in rows} <= {"succeeded", "failed"}
        assert {row["error"]["code"] for row in rows if row["error"]} <= {"disk_full"}
        assert up.final(up.rendering("ann"))["state"] == "succeeded", "what was there before is there still"
        up.avatar("cat")
    finally:
        up.end()
