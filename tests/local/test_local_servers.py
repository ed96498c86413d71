"""The embedded servers by themselves: stopped, killed, and started on what was left."""

import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from local.servers import Keys, ObjectServer, Postgres, free_port


@pytest.fixture
def postgres(servers_folder: Path, request: pytest.FixtureRequest):
    server = Postgres(servers_folder / request.node.name[:30])
    yield server
    server.stop()


def answers(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def test_started_again_after_a_stop(postgres: Postgres) -> None:
    url = postgres.start()
    assert postgres.alive() and answers(url)
    postgres.stop()
    assert not postgres.alive()
    assert postgres.start() == url and answers(url)


def test_started_again_after_a_kill(postgres: Postgres) -> None:
    url = postgres.start()
    psutil.Process(int((postgres.folder / "postmaster.pid").read_text().split()[0])).kill()
    while postgres.alive():
        pass
    assert postgres.start() == url and answers(url)


def test_a_pid_that_is_somebody_elses_by_now(postgres: Postgres) -> None:
    """As after the restart of a container, where pids are few."""
    postgres.start()
    lines = (postgres.folder / "postmaster.pid").read_text().splitlines()
    psutil.Process(int(lines[0])).kill()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        try:
            for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
                (postgres.folder / name).write_text("\n".join([str(other.pid), *lines[1:]]))
            assert not postgres.alive()
            assert answers(postgres.start())
            assert other.poll() is None
        finally:
            other.kill()


def test_a_server_that_runs_is_taken_over(postgres: Postgres) -> None:
    url = postgres.start()
    before = (postgres.folder / "postmaster.pid").read_text()
    again = Postgres(postgres.folder)
    assert again.start() == url and again.alive()
    assert (postgres.folder / "postmaster.pid").read_text() == before


@pytest.mark.parametrize("moment", ["PG_VERSION", "global/pg_control"])
def test_killed_while_the_database_is_made(servers_folder: Path, moment: str) -> None:
    folder = servers_folder / f"half-{Path(moment).name}"
    code = f"from pathlib import Path; from local.servers import Postgres; Postgres(Path({str(folder)!r})).start()"
    with subprocess.Popen([sys.executable, "-c", code]) as program:
        while not (folder / moment).exists():
            assert program.poll() is None
        program.kill()
    server = Postgres(folder)
    try:
        assert answers(server.start())
    finally:
        server.stop()


def test_keys_are_not_shown_to_everybody(tmp_path: Path) -> None:
    server = ObjectServer(tmp_path / "s3", free_port(), Keys("an-access-key", "a-secret-key"))
    server.start()
    try:
        (process,) = [one for one in psutil.Process().children() if one.cmdline()[-1:] == [str(tmp_path / "s3")]]
        assert "a-secret-key" not in " ".join(process.cmdline())
    finally:
        server.stop()


def test_an_object_server_that_was_left_behind(tmp_path: Path) -> None:
    keys, port = Keys("access", "secret"), free_port()
    left, fresh = ObjectServer(tmp_path / "s3", port, keys), ObjectServer(tmp_path / "s3", port, keys)
    left.start()
    try:
        fresh.start()
        assert fresh.alive() and not left.alive()
    finally:
        fresh.stop()


def test_a_zombie_is_not_waited_for() -> None:
    """It is reaped by its parent, which in a container may be nobody."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        outsider = f"import psutil; from local import servers; servers._end(psutil.Process({child.pid}))"
        subprocess.run([sys.executable, "-c", outsider], check=True, timeout=30)
        assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
