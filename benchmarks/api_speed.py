"""How fast the API itself is: the parts `api` and `page` of `platform_speed.py`. As a program: the process of their baseline."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import uvicorn
from fastapi import FastAPI
from figures import Figure, percentile
from ground import SPEC, Program, Servers, address, wait
from sqlalchemy import text

from api import paging
from local.servers import free_port
from store import avatars, ids
from store.database import Database
from store.models import AvatarVersion, Json

HERE = Path(__file__).resolve().parent
CONNECTIONS = 8


def api(servers: Servers, scale: float) -> Iterator[Figure]:
    """POST /v1/renderings on one worker process, each with an Idempotency-Key, its avatar, version and audio looked up."""
    with servers.database() as database, _api(servers, database) as program:
        audio = b"RIFF\0\0\0\0WAVEfmt " + bytes(2000)
        url = f"http://127.0.0.1:{program.port}"
        asset = httpx.post(f"{url}/v1/assets", files={"file": ("a.wav", audio)}).raise_for_status().json()["id"]
        with database.begin() as session:
            avatar = avatars.ensure(session, "local", "ada", None, {"statement": "I agree.", "by": "a benchmark"})
            files = [{"name": "model/weights.safetensors", "size": 1, "sha256": "0" * 64}]
            session.add(
                AvatarVersion(
                    avatar_id=avatar.id, owner="local", version=1, request_id=ids.new(), prefix="requests/x/1/", files=files
                )
            )
        body = {"avatar": "ada", "audio": {"asset": asset}}
        one = _hit(servers, program.port, "POST", ["/v1/renderings"], body, 10 * scale, 1)
        full = _hit(servers, program.port, "POST", ["/v1/renderings"], body, 20 * scale, CONNECTIONS)
        bare, bare_one = _bare_api(servers, database, body, scale)
    measured = f"{_spread(full)} with {CONNECTIONS} connections; {_spread(one)} with one"
    beside = f"route with one INSERT {_spread(bare)}; {_spread(bare_one)}"
    yield Figure(
        "POST /v1/renderings, one process", measured, beside, f"{full['rate'] / bare['rate']:.2f}", "≥ 500/s, p99 < 25 ms",
        full["rate"] >= 500 and full["p99"] < 0.025,
    )  # fmt: skip


def _spread(found: dict[str, float]) -> str:
    refused = f", {found['refused']:.0f} refused" if found["refused"] else ""
    return f"{found['rate']:.0f}/s, p50 {1000 * found['p50']:.1f} ms, p99 {1000 * found['p99']:.1f} ms{refused}"


@contextmanager
def _api(servers: Servers, database: Database) -> Iterator[Program]:
    program = Program("api", servers, database)
    try:
        wait(program.metrics, 60, "the API")
        yield program
    finally:
        program.stop()


def _hit(
    servers: Servers, port: int, method: str, targets: list[str], body: Json | None, seconds: float, connections: int
) -> dict[str, float]:
    """Rate, p50 and p99 in seconds, as load.py saw them."""
    file = servers.folder / "targets"
    file.write_text("\n".join(targets))
    given = "" if body is None else json.dumps(body)
    command = [sys.executable, HERE / "load.py", str(port), method, file, given, str(connections), str(seconds)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def _bare_api(servers: Servers, database: Database, body: Json, scale: float) -> tuple[dict[str, float], dict[str, float]]:
    with database.begin() as session:
        session.execute(text("CREATE TABLE bare (id uuid PRIMARY KEY, body jsonb)"))
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__], env={**os.environ, "BARE": f"{port} {address(database)}"})
    try:
        wait(lambda: _answers(port), 60, "the bare API")
        one = _hit(servers, port, "POST", ["/bare"], body, 10 * scale, 1)
        return _hit(servers, port, "POST", ["/bare"], body, 20 * scale, CONNECTIONS), one
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/").status_code == 404
    except httpx.TransportError:
        return False


def bare_api() -> None:
    """The baseline's process: a route that does one INSERT."""
    port, url = os.environ["BARE"].split(" ", 1)
    database, app = Database(url), FastAPI()

    @app.post("/bare")
    def insert(body: dict[str, Any]) -> dict[str, str]:
        made = ids.new()
        with database.begin() as session:
            session.execute(text("INSERT INTO bare VALUES (:id, :body)"), {"id": made, "body": json.dumps(body)})
        return {"id": str(made)}

    uvicorn.run(app, port=int(port), log_level="warning", access_log=False)


FILL = """
INSERT INTO requests (id, owner, kind, state, spec, uses, avatar, avatar_version, attempt, tries, disruptions, progress, result,
                      created_at, finished_at)
SELECT (lpad(to_hex(1700000000000 + n * 60000::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
        || substr(md5(n::text), 4, 15))::uuid,
       'local', (ARRAY['rendering', 'rendering', 'rendering', 'evaluation', 'training'])[1 + n % 5],
       CASE WHEN n % 5000 = 7 THEN 'cancelled' WHEN n % 10 = 3 THEN 'failed' ELSE 'succeeded' END,
       CAST(:spec AS jsonb), '[]', 'avatar-' || n % 100, 1, 1, 0, 0, 1,
       jsonb_build_object('outputs', jsonb_build_object('video', jsonb_build_object(
           'key', 'requests/' || n || '/1/video.mp4', 'size', 1000000, 'sha256', md5(n::text) || md5(n::text)))),
       to_timestamp(1700000000 + n * 60), to_timestamp(1700000030 + n * 60)
FROM generate_series(1, :count) n
"""
FILTERS = {
    "kind": "kind=rendering", "avatar": "avatar=avatar-42", "kind and state": "kind=rendering&state=failed",
    "state, 1 row in 5,000": "state=cancelled", "avatar and state, 1 row in 10,000": "avatar=avatar-7&state=cancelled",
    "state of no row": "state=running",
}  # fmt: skip


def page(servers: Servers, scale: float) -> Iterator[Figure]:
    """A page of 50 anywhere in a million requests, by several filters."""
    count = int(1_000_000 * scale)
    with servers.database() as database:
        with database.unhurried() as connection:
            connection.execute(text(FILL), {"count": count, "spec": json.dumps(SPEC)})
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE requests"))
            every = list(connection.scalars(text("SELECT id FROM requests TABLESAMPLE SYSTEM (0.05) LIMIT 300")))
        bare = percentile([_bare_page(database, at) for at in every], 0.99)
        with _api(servers, database) as program:
            for name, wanted in FILTERS.items():
                ends = ["", *(f"&cursor={paging.cursor(at)}" for at in every[:100])]
                targets = [f"/v1/requests?limit=50&{wanted}{end}" for end in ends]
                found = _hit(servers, program.port, "GET", targets, None, 6 * scale, 1)
                yield Figure(
                    f"page of 50 of {count:,}: {name}", f"{_spread(found)}", f"bare SELECT of 50 by id p99 {1000 * bare:.1f} ms",
                    f"{found['p99'] / bare:.1f}", "p99 < 20 ms", found["p99"] < 0.02,
                )  # fmt: skip


def _bare_page(database: Database, at: UUID) -> float:
    """Seconds."""
    began = time.perf_counter()
    with database.begin() as session:
        session.execute(text("SELECT * FROM requests WHERE id < :at ORDER BY id DESC LIMIT 50"), {"at": at}).all()
    return time.perf_counter() - began


if __name__ == "__main__":
    bare_api()
