"""Real servers for the tests: PostgreSQL and S3, started once a session, as the local platform starts them."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from databases import create_database

from local.servers import Keys, ObjectServer, Postgres, free_port
from store import ids, migrate
from store.database import Database
from store.objects import Objects


@dataclass(frozen=True)
class S3:
    """Object settings of the running server, and the server, for tests that stop it."""

    server: ObjectServer
    s3_endpoint: str
    s3_public_endpoint: str | None
    s3_region: str
    s3_access_key: str
    s3_secret_key: str
    s3_bucket: str


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    # Not pytest's own tmp_path: PostgreSQL's socket needs a short path, and run as root, another user's.
    with tempfile.TemporaryDirectory(prefix="gf-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres_server(servers_folder: Path) -> Iterator[str]:
    """URL of the server's own database."""
    server = Postgres(servers_folder / "pg")
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def _migrated(postgres_server: str) -> str:
    """A migrated database that others are copied from: faster than migrating each."""
    url = create_database(postgres_server, "migrated")
    database = Database(url)
    migrate.upgrade(database)
    database.close()
    return "migrated"


@pytest.fixture(scope="module")
def postgres_url(postgres_server: str, _migrated: str) -> Iterator[str]:
    """A fresh migrated database for the module."""
    name = f"test_{ids.new().hex}"
    yield create_database(postgres_server, name, template=_migrated)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    database = Database(postgres_url)
    yield database
    database.close()


@pytest.fixture(scope="session")
def s3(servers_folder: Path) -> Iterator[S3]:
    keys = Keys("test-access", "test-secret-key")
    server = ObjectServer(servers_folder / "s3", free_port(), keys)
    endpoint = server.start()
    settings = S3(server, endpoint, None, "us-east-1", keys.access, keys.secret, "geneface")
    Objects(settings).ensure_bucket()
    yield settings
    server.stop()


@pytest.fixture
def objects(s3: S3) -> Objects:
    return Objects(s3)
