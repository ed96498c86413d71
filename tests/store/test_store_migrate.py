"""The schema, on the oldest PostgreSQL that is supported and on the embedded one."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from databases import create_database
from sqlalchemy import Connection, inspect, text

from store import ids, migrate, requests
from store.database import Database
from store.errors import SchemaNewerError
from store.models import Base, Kind

SCHEMAS = Path(__file__).parent / "schemas"
"""Dumps of released versions' databases: `pg_dump --inserts`, without settings."""
STATEMENTS = Path(__file__).parent / "statements"
"""What a released version sent to PostgreSQL in the life of a training, some renderings and their deletion, one a line."""
RELEASED = sorted(file.stem for file in SCHEMAS.glob("*.sql"))
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


def test_every_migration_can_be_taken_back(empty: Database) -> None:
    migrate.upgrade(empty)
    with empty.engine.begin() as connection:
        made = columns(connection)
        while (revision := MigrationContext.configure(connection).get_current_revision()) != "0001":
            command.downgrade(migrate._config(connection), "-1")
            assert MigrationContext.configure(connection).get_current_revision() != revision
    assert migrate.current(empty) == "0001"
    migrate.upgrade(empty)
    with empty.engine.connect() as connection:
        assert columns(connection) == made
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_newer_schema_is_refused(empty: Database) -> None:
    migrate.upgrade(empty)
    with empty.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaNewerError, match="9999"):
        migrate.upgrade(empty)


def released(connection: Connection, version: str) -> None:
    connection.exec_driver_sql((SCHEMAS / f"{version}.sql").read_text())


def live(connection: Connection, version: str) -> None:
    """What that version does, whatever the schema is now."""
    for statement in (STATEMENTS / f"{version}.sql").read_text().splitlines():
        connection.exec_driver_sql(statement)


def columns(connection: Connection) -> dict[str, list[str]]:
    found = inspect(connection)
    tables = [table for table in found.get_table_names() if table != "alembic_version"]
    return {table: [column["name"] for column in found.get_columns(table)] for table in tables}


def rows(connection: Connection, wanted: dict[str, list[str]]) -> dict[str, list[str]]:
    queries = {table: f"SELECT {', '.join(names)} FROM {table}" for table, names in wanted.items()}  # noqa: S608
    return {table: sorted(map(str, connection.execute(text(query)))) for table, query in queries.items()}


@pytest.mark.parametrize("version", RELEASED)
def test_a_released_schema_is_brought_up_to_date(empty: Database, version: str) -> None:
    with empty.engine.begin() as connection:
        released(connection, version)
        live(connection, version)
        known = columns(connection)
        before = rows(connection, known)
    assert all(before.values()), "there is something of everything"
    migrate.upgrade(empty)
    assert migrate.current(empty) == migrate.head()
    with empty.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert rows(connection, known) == before


@pytest.mark.parametrize("version", RELEASED)
def test_a_released_version_works_on_this_schema(empty: Database, version: str) -> None:
    """During an upgrade, and after `helm rollback`."""
    with empty.engine.begin() as connection:
        released(connection, version)
        live(connection, version)
        owners = {table: ["owner"] for table in columns(connection)}
        meant = rows(connection, owners)
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    migrate.upgrade(empty)
    with empty.engine.begin() as connection:
        live(connection, version)
        assert rows(connection, owners) == meant
