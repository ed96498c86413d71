"""Starting, not starting, and ending: one clear line each."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from running import Up

from local import doctor
from local.client import ApiError, Client
from local.errors import AlreadyRunningError, FolderError, LookError
from local.servers import free_port
from local.settings import LocalSettings
from local.state import VERSION, StateFolder
from steps import weights


def start(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m local up` that is expected to refuse."""
    ports = {"GENEFACE_PORT": str(free_port()), "GENEFACE_LOCAL_S3_PORT": str(free_port())}
    return subprocess.run(
        [sys.executable, "-m", "local", "up"], env={**os.environ, "GENEFACE_HOME": str(home), **ports, **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def refusal(answer: subprocess.CompletedProcess[str], code: int = 1) -> str:
    assert answer.returncode == code, answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1, answer.stderr
    return answer.stderr


def test_a_port_in_use(tmp_path: Path, s3: object) -> None:
    taken = s3.server.port
    assert f"port {taken} for the API is in use" in refusal(start(tmp_path, GENEFACE_PORT=str(taken)))
    assert f"port {taken} for object storage is in use" in refusal(start(tmp_path, GENEFACE_LOCAL_S3_PORT=str(taken)))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "can't be written" in refusal(start(tmp_path / "file" / "home"))


def test_a_state_folder_of_a_newer_version(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"version": VERSION + 1}))
    assert "newer version" in refusal(start(tmp_path))


def test_a_wrong_setting(tmp_path: Path) -> None:
    assert "GENEFACE_SLOTS" in refusal(start(tmp_path, GENEFACE_SLOTS="none"), code=2)


def test_a_database_that_does_not_answer(tmp_path: Path) -> None:
    url = f"postgresql://somebody:secret@127.0.0.1:{free_port()}/x"
    assert "database" in (line := refusal(start(tmp_path, GENEFACE_DATABASE_URL=url)))
    assert "secret" not in line


def test_keys_that_the_object_storage_refuses(tmp_path: Path, postgres_url: str, s3: object) -> None:
    own = {"ENDPOINT": s3.s3_endpoint, "ACCESS_KEY": s3.s3_access_key, "SECRET_KEY": "wrong"}
    answer = start(tmp_path, GENEFACE_DATABASE_URL=postgres_url, **{f"GENEFACE_S3_{name}": value for name, value in own.items()})
    assert "object storage" in refusal(answer)


def test_one_platform_a_folder(tmp_path: Path) -> None:
    first = StateFolder(tmp_path)
    keys = first.acquire()
    with pytest.raises(AlreadyRunningError, match=str(os.getpid())):
        StateFolder(tmp_path).acquire()
    first.release()
    assert StateFolder(tmp_path).acquire() == keys, "its secrets are kept"
    assert (tmp_path / "state.json").stat().st_mode & 0o077 == 0, "and are nobody else's"


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"version": 1, "s3": {"access": "a"}}', "\udc80"])
def test_a_damaged_state_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content, errors="surrogateescape")
    with pytest.raises(FolderError, match="damaged"):
        StateFolder(tmp_path).load()


def test_your_own_servers_are_used(make_up: Callable[..., Up], postgres_url: str, s3: object) -> None:
    up = make_up(
        GENEFACE_DATABASE_URL=postgres_url, GENEFACE_S3_ENDPOINT=s3.s3_endpoint, GENEFACE_S3_ACCESS_KEY=s3.s3_access_key,
        GENEFACE_S3_SECRET_KEY=s3.s3_secret_key, GENEFACE_S3_BUCKET="own-bucket",
    )  # fmt: skip
    up.start()
    up.avatar("ann")
    assert not (up.home / "postgres").exists()
    assert not (up.home / "objects").exists()


def test_an_embedded_server_that_dies_is_started_again(make_up: Callable[..., Up]) -> None:
    up = make_up()
    up.start()
    for name in ("postgres", "rclone"):
        server = next(process for process in up.processes() if process.name() == name and process.parent().name() != name)
        server.send_signal(signal.SIGKILL)
        server.wait(10)
        up.wait(lambda: httpx.get(f"{up.url}/readyz").status_code == 200 and up.asset(b"x"), 30, f"{name} to come back")
    up.avatar("ann")


def listener(port: int) -> socket.socket | None:
    """A zombie's last threads may hold the port for a moment."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


def test_an_embedded_server_that_cannot_start_yet_is_tried_again(make_up: Callable[..., Up]) -> None:
    up = make_up()
    up.start()
    server = next(process for process in up.processes() if process.name() == "rclone")
    os.kill(up.process.pid, signal.SIGSTOP)  # so that the port can be taken before the platform looks
    server.kill()
    taken = up.wait(lambda: listener(int(up.environment["GENEFACE_LOCAL_S3_PORT"])), 20, "its port")
    with taken:
        os.kill(up.process.pid, signal.SIGCONT)
        up.wait(lambda: "is tried again" in (up.home / "platform.log").read_text(), 10, "a start that fails")
        assert httpx.get(f"{up.url}/healthz").status_code == 200
    up.wait(lambda: httpx.get(f"{up.url}/readyz").status_code == 200, 30, "it to come back")


def test_somewhere_else_than_linux_and_macos() -> None:
    code = "import runpy, sys; sys.platform = 'win32'; runpy.run_module('local', run_name='__main__')"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Linux or macOS" in refusal(answer)


def test_a_proxy_is_for_other_machines(shared_up: Up, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    client = Client(shared_up.url)
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    asset = client.get(f"/v1/assets/{client.upload(tmp_path / 'a.wav')}")
    assert asset["state"] == "ready"


def test_whatever_http_brings_is_one_clear_sentence(shared_up: Up, tmp_path: Path) -> None:
    client = Client(shared_up.url)
    with pytest.raises(ApiError, match=r"the download of a.mp4 was refused: 404"):
        client.download(f"{shared_up.url}/nothing", tmp_path / "a.mp4")
    with pytest.raises(ApiError, match=r"the download of a.mp4 failed: ConnectError"):
        client.download(f"http://127.0.0.1:{free_port()}/", tmp_path / "a.mp4")
    with pytest.raises(ApiError, match="is not the platform"):
        client.get("/metrics")


def test_doctor_says_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENEFACE_WEIGHTS_DIR", "/nowhere")
    settings = LocalSettings(home=tmp_path, port=free_port(), local_s3_port=free_port())
    findings = {finding.name: finding for finding in doctor.examine(settings)}
    assert set(findings) == {
        "Python", "ffmpeg", "GPU", "weights", "speech", "language model", "state folder", "database", "object storage", "cluster",
    }  # fmt: skip
    assert findings["ffmpeg"].level == findings["database"].level == findings["object storage"].level == "ok"
    assert findings["ffmpeg"].found.startswith("7.0.2")
    named = [
        *findings["weights"].found.removeprefix("without ").split(", "),
        *findings["speech"].found.removeprefix("without ").split(", "),
    ]
    assert {"whisper-base", "inception", "kokoro"} <= set(named) <= set(weights.table())
    assert list(tmp_path.iterdir()) == [], "it changes nothing"


def test_doctor_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"version": VERSION + 1}))
    settings = LocalSettings(home=tmp_path, database_url=f"postgresql://x@127.0.0.1:{free_port()}/x")
    missing = {finding.name for finding in doctor.examine(settings) if finding.level == "missing"}
    assert missing == {"state folder", "database"}


def test_doctor_says_why_a_look_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "STEP_SECONDS", 0.0)
    findings = {finding.name: finding for finding in doctor.examine(LocalSettings(home=tmp_path))}
    assert (findings["GPU"].level, findings["GPU"].found) == ("missing", "torch does not work: no answer within 0.0 s")
    monkeypatch.setattr(doctor, "STEP_SECONDS", 60.0)
    with pytest.raises(LookError, match=r"^ModuleNotFoundError: No module named 'no_such_module'$"):
        doctor._ask("import no_such_module")
