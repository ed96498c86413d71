"""What a program does when PostgreSQL hangs, or needs longer."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from store import database as module
from store.database import AWAY, Database


@contextmanager
def stopped(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_server_that_hangs_is_given_up(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Driver, "answer_seconds", 0.5)
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.0)
    database = Database(postgres_url, pool_size=1)
    started = time.monotonic()
    with pytest.raises(AWAY), database.begin() as session:
        process = session.scalar(text("SELECT pg_backend_pid()"))
        with stopped(process):
            session.execute(text("SELECT 1"))
    with database.begin() as session:
        process = session.scalar(text("SELECT pg_backend_pid()"))
    with stopped(process):
        database.ping()  # by another connection: the one that hangs does not pass the pool's check
    assert time.monotonic() - started < 10
    database.close()


def test_hints_outlast_a_long_silence(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Driver, "answer_seconds", 0.1)
    hints = database.hints(0.3)
    assert [next(hints), next(hints), next(hints)] == [None, None, None]
    hints.close()


def test_a_refused_statement_does_not_cost_the_connection(database: Database) -> None:
    with database.engine.connect() as connection:
        process = connection.scalar(text("SELECT pg_backend_pid()"))
        connection.execute(text("SET statement_timeout = '50ms'"))
        with pytest.raises(AWAY):
            connection.execute(text("SELECT pg_sleep(1)"))
        connection.rollback()
        assert connection.scalar(text("SELECT pg_backend_pid()")) == process


def test_a_migration_may_take_its_time(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STATEMENT_SECONDS", 0.1)
    monkeypatch.setattr(module._Driver, "answer_seconds", 0.2)
    database = Database(postgres_url)
    with database.unhurried() as connection:
        connection.execute(text("SELECT pg_sleep(0.6)"))
    with database.engine.connect() as connection, pytest.raises(AWAY):
        connection.execute(text("SELECT pg_sleep(0.6)"))
    database.close()


def migrated(url: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "GENEFACE_DATABASE_URL": url}
    return subprocess.run(
        [sys.executable, "-m", "store.migrate"], capture_output=True, text=True, env=environment, check=False
    )  # fmt: skip


def test_the_migration_program(postgres_url: str, tmp_path: Path) -> None:
    done = migrated(postgres_url)
    assert (done.returncode, done.stderr) == (0, ""), "it needs the database's address and no other setting"
    away = migrated(f"postgresql://postgres@/x?host={tmp_path}")
    assert away.returncode == 1 and away.stderr.startswith("OperationalError: ") and away.stderr.count("\n") == 1
    for wrong in ("mysql://x", "postgresql://user:secret@host:port/x"):
        refused = migrated(wrong)
        assert refused.returncode == 2 and refused.stderr.startswith("GENEFACE_DATABASE_URL: ")
        assert "secret" not in refused.stderr and "Traceback" not in refused.stderr
