"""The schema, on the oldest PostgreSQL that is supported and on the embedded one."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from databases import create_database
from sqlalchemy import text

from store import ids, migrate, requests
from store.database import Database
from store.errors import SchemaNewerError
from store.models import Base, Kind

SCHEMAS = Path(__file__).parent / "schemas"
"""Dumps of released versions' databases: `pg_dump --inserts`, without settings."""
POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture(scope="module")
def postgres_15(servers_folder: Path) -> Iterator[str]:
    """Debian's PostgreSQL 15 on a socket of its own."""
    if not POSTGRES_15.exists():
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL 15 is missing: apt-get install postgresql-15")
        pytest.skip("needs Debian's postgresql-15")
    folder = servers_folder / "pg15"
    folder.mkdir()
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        subprocess.run(["chown", user, folder], check=True)
    run = {"user": user, "cwd": "/", "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([POSTGRES_15 / "initdb", "-A", "trust", "-U", "postgres", "-D", folder / "data"], check=True, **run)
    server = subprocess.Popen([POSTGRES_15 / "postgres", "-D", folder / "data", "-h", "", "-k", folder], **run)
    url = f"postgresql://postgres:@/postgres?host={folder}"
    for _ in range(200):
        try:
            psycopg.connect(url).close()
            break
        except psycopg.OperationalError:
            time.sleep(0.05)
    yield url
    server.terminate()
    server.wait(20)


@pytest.fixture(params=["15", "18"])
def empty(request: pytest.FixtureRequest) -> Iterator[Database]:
    server = request.getfixturevalue("postgres_15" if request.param == "15" else "postgres_server")
    database = Database(create_database(server, f"m_{ids.new().hex}"))
    with database.begin() as session:
        assert session.scalar(text("SHOW server_version")).startswith(request.param)
    yield database
    database.close()


def test_migrations_make_what_the_models_say(empty: Database) -> None:
    migrate.upgrade(empty)
    migrate.upgrade(empty)
    assert migrate.current(empty) == migrate.head()
    with empty.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    with empty.begin() as session:
        requests.create(session, owner="local", kind=Kind.RENDERING, spec={"inputs": []}, uses=["asset:1"])
    with empty.begin() as session:
        assert len(requests.users(session, "local", ["asset:1"])) == 1


def test_a_newer_schema_is_refused(empty: Database) -> None:
    migrate.upgrade(empty)
    with empty.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaNewerError, match="9999"):
        migrate.upgrade(empty)


@pytest.mark.parametrize("version", sorted(file.stem for file in SCHEMAS.glob("*.sql")))
def test_a_released_schema_is_brought_up_to_date(empty: Database, version: str) -> None:
    with empty.engine.begin() as connection:
        connection.exec_driver_sql((SCHEMAS / f"{version}.sql").read_text())
    migrate.upgrade(empty)
    assert migrate.current(empty) == migrate.head()
    with empty.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
