"""The pure parts."""

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import ValidationError

from api import errors, paging, signatures
from api.errors import ApiError, CursorInvalidError
from api.settings import Settings
from api.uploads import Form
from store.logs import JsonLines
from store.settings import explain

REQUIRED = {
    "database_url": "postgresql://x@y/z", "s3_endpoint": "http://s3:9000", "s3_access_key": "a", "s3_secret_key": "b",
    "token_key": "k" * 32,
}  # fmt: skip


def mp3(frames: int = 2, tag: bytes = b"") -> bytes:
    return tag + (b"\xff\xfb\x90\x00" + bytes(413)) * frames


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\0\0\0\x20ftypisom", "mp4"),
        (b"\0\0\0\x14ftypqt  ", "mp4"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "mp4"),
        (b"\0\0\0\x20ftypheic", None),
        (b"\x1aE\xdf\xa3\x01\0\0\0", "matroska"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"RIFF\0\0\0\0WAVEfmt ", "wav"),
        (b"RIFF\0\0\0\0WEBPVP8 ", None),
        (b"fLaC\0\0\0\x22", "flac"),
        (b"OggS\0\x02", "ogg"),
        ((b"\x47" + bytes(187)) * 5, "mpegts"),
        ((b"\0\0\0\0\x47" + bytes(187)) * 5, "mpegts"),
        (b"\x47" + bytes(1000), None),
        (mp3(), "mp3"),
        (mp3(0, b"ID3\x04\0\0\0\0\0\0") + bytes(10), "mp3"),
        (mp3(1), None),
        (b"\xff\xd8\xff\xe0" + bytes(1000), None),
        (b"", None),
        (b"\0", None),
        (b"#EXTM3U\n", None),
    ],
)
def test_signatures(head: bytes, expected: str | None) -> None:
    assert signatures.container(head) == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"#EXTM3U\n#EXT-X", True),
        (b"\xef\xbb\xbf#EXTM3U", True),
        (b"\n ffconcat version 1.0", True),
        (b"file '/etc/passwd'", True),
        (b"<?xml version='1.0'?><MPD>", True),
        (b"hello", False),
    ],
)
def test_playlists(head: bytes, expected: bool) -> None:
    assert signatures.is_playlist(head) is expected


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_form_in_pieces(size: int) -> None:
    data = bytes(range(256)) * 500 + b"\r\n--b\r"
    head = b'--bound\r\nContent-Disposition: form-data; name="sha256"\r\n\r\nabc\r\n'
    head += b'--bound\r\nContent-Disposition: form-data; name="file"; filename="a%22b.mp4"\r\nContent-Type: video/mp4\r\n\r\n'
    body = io.BytesIO(head + data + b"\r\n--bound--\r\n")
    form = Form("multipart/form-data; boundary=bound", lambda: body.read(size), 1 << 20)
    form.open()
    read = b"".join(iter(lambda: form.read(10_000), b""))
    form.finish()
    assert (read, form.size, form.filename, form.fields) == (data, len(data), 'a"b.mp4', {"sha256": "abc"})
    assert form.head == data[: 1 << 16]


def test_cursors() -> None:
    identity = uuid4()
    assert paging.after_id(paging.cursor(identity)) == identity
    assert paging.after_name(paging.cursor("ada")) == "ada"
    assert paging.after_id(None) is None and paging.cursor(None) is None
    for wrong in ("x", "é", "AAAA", "/" * 8):
        with pytest.raises(CursorInvalidError):
            paging.after_id(wrong)


def test_codes_are_unique_and_said_in_a_sentence() -> None:
    found = errors.entries()
    assert len({one.code for one in found}) == len(found)
    assert all(one.title.endswith((".", "}.")) and len(one.title) > 10 for one in found)
    assert errors.markdown().count("\n") == len(found) + 1
    assert ApiError.__doc__ not in errors.markdown()


def test_settings() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(**{**REQUIRED, "port": 70_000, "token_key": "short", "database_url": "mysql://x"})
    lines = explain(caught.value)
    assert [line.split(":")[0] for line in lines] == ["GENEFACE_DATABASE_URL", "GENEFACE_TOKEN_KEY", "GENEFACE_PORT"]
    assert not any("short" in line for line in lines)
    assert Settings(**REQUIRED, port="tcp://10.0.0.1:80").port == 8000
    assert all(field.description for field in Settings.model_fields.values())


def test_log_lines() -> None:
    record = logging.makeLogRecord({"name": "api", "levelname": "INFO", "msg": "%s %d", "args": ("a", 1), "status": 200})
    line = json.loads(JsonLines().format(record))
    assert (line["message"], line["status"], line["level"]) == ("a 1", 200, "info")


def test_wrong_settings_end_the_program() -> None:
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    wrong = subprocess.run([sys.executable, "-m", "api"], capture_output=True, text=True, env=environment, check=False)
    assert wrong.returncode == 2 and "GENEFACE_DATABASE_URL: Field required" in wrong.stderr and "Traceback" not in wrong.stderr
