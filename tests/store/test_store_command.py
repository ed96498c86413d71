"""`python -m store prepare` and `wait`, as the chart's Job and init containers run them."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from databases import create_database
from sqlalchemy import text

from store import ids, migrate
from store.__main__ import prepare, wait
from store.database import Database
from store.objects import Objects
from tests.conftest import S3


@pytest.fixture
def empty(postgres_server: str) -> Iterator[Database]:
    database = Database(create_database(postgres_server, f"c_{ids.new().hex}"))
    yield database
    database.close()


def environment(database: Database, s3: S3, bucket: str) -> dict[str, str]:
    return {
        **os.environ,
        "GENEFACE_DATABASE_URL": database.url.set(drivername="postgresql").render_as_string(hide_password=False),
        "GENEFACE_S3_ENDPOINT": s3.s3_endpoint,
        "GENEFACE_S3_ACCESS_KEY": s3.s3_access_key,
        "GENEFACE_S3_SECRET_KEY": s3.s3_secret_key,
        "GENEFACE_S3_BUCKET": bucket,
        "GENEFACE_TOKEN_KEY": "k" * 32,
    }


def start(command: str, env: dict[str, str], *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-m", "store", command, *options], env=env, text=True, stdout=-1, stderr=-1)


def test_who_waits_goes_on_when_the_schema_and_the_bucket_are_there(empty: Database, s3: S3) -> None:
    env = environment(empty, s3, "fresh-bucket")
    waiting = start("wait", env)
    assert waiting.stderr is not None
    assert waiting.stderr.readline() == f"waiting: the schema is empty, not yet {migrate.head()}\n"
    for _ in range(2):  # the Job may run again
        preparing = start("prepare", env)
        out, err = preparing.communicate(timeout=60)
        assert preparing.returncode == 0, err
        assert out == f"the schema is {migrate.head()}, the bucket fresh-bucket is there\n"
    assert waiting.wait(30) == 0
    waiting.communicate()


def test_without_a_database_prepare_fails_and_wait_waits(empty: Database, s3: S3) -> None:
    env = environment(empty, s3, "fresh-bucket") | {"GENEFACE_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/c"}
    preparing = start("prepare", env, "--patience", "3")
    said = preparing.communicate(timeout=60)[1].splitlines()
    assert preparing.returncode == 1
    assert len(said) > 1
    assert all(line.removeprefix("waiting: ").startswith("OperationalError") for line in said)
    waiting = start("wait", env)
    assert waiting.stderr is not None
    assert waiting.stderr.readline().startswith("waiting: OperationalError")
    assert waiting.poll() is None
    waiting.kill()
    waiting.communicate()


def test_without_object_storage_prepare_fails(empty: Database, s3: S3) -> None:
    env = environment(empty, s3, "fresh-bucket") | {"GENEFACE_S3_ENDPOINT": "http://127.0.0.1:1"}
    preparing = start("prepare", env)
    assert "MaxRetryError" in preparing.communicate(timeout=60)[1]
    assert preparing.returncode == 1


def test_a_newer_schema_serves_an_older_version(empty: Database, objects: Objects, capsys: pytest.CaptureFixture[str]) -> None:
    migrate.upgrade(empty)
    with empty.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert prepare(empty, objects).startswith("the schema is 9999")
    assert "left as it is" in capsys.readouterr().err
    assert migrate.missing(empty) is None


def test_waiting_says_again_what_for() -> None:
    answers = iter(["no schema", "no schema", "an old schema", None])
    wait(lambda: next(answers), pause=0, say=0)
    assert next(answers, "all asked") == "all asked"
