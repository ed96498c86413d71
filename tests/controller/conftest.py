"""A controller on the servers of the tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from controller_bench import Bench
from local_jobs import processes_with
from sqlalchemy import delete

from store.database import Database
from store.models import Request
from store.objects import Objects


@pytest.fixture
def bench(tmp_path: Path, database: Database, objects: Objects, s3: Any) -> Iterator[Bench]:
    with database.begin() as session:
        session.execute(delete(Request))
    keys = {
        "database_url": database.url.render_as_string(hide_password=False), "s3_endpoint": s3.s3_endpoint,
        "s3_access_key": s3.s3_access_key, "s3_secret_key": s3.s3_secret_key, "token_key": "k" * 32,
        "api_url": "http://127.0.0.1:1",
    }  # fmt: skip
    bench = Bench(tmp_path, database, objects, keys)
    yield bench
    bench.cluster.close(grace=0.2)
    assert processes_with(str(tmp_path)) == []
