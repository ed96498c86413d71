"""Weights by way of the bucket: kept from one folder, fetched into another, whole or not at all."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from store import weights
from store.errors import WeightsError
from store.objects import Objects
from tests.conftest import S3


def made(folder: Path, name: str, content: bytes) -> Path:
    """A file as `make weights` leaves it."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    record = {"source": "a", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    file.with_name(f"{file.name}.json").write_text(json.dumps(record))
    return file


def lying(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_kept_is_fetched(objects: Objects, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    made(one, "kokoro/model.onnx", b"x" * 3_000_000)
    made(one, "xtts/config.json", b"{}")  # a file whose name ends as a record's
    (one / "stray").write_bytes(b"nobody knows whose")
    assert weights.keep(objects, one) == ["kokoro/model.onnx", "xtts/config.json"]
    assert weights.keep(objects, one) == []
    assert weights.fetch(objects, two) == ["kokoro/model.onnx", "xtts/config.json"]
    assert lying(two) == {name: content for name, content in lying(one).items() if name != "stray"}
    assert weights.fetch(objects, two) == []
    made(one, "kokoro/model.onnx", b"another version")
    assert weights.keep(objects, one) == weights.fetch(objects, two) == ["kokoro/model.onnx"]
    assert (two / "kokoro/model.onnx").read_bytes() == b"another version"


def test_damaged_files_are_neither_kept_nor_fetched(objects: Objects, tmp_path: Path) -> None:
    file = made(tmp_path / "one", "a.bin", b"whole")
    file.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"a\.bin has the sha256"):
        weights.keep(objects, tmp_path / "one")
    file.write_bytes(b"whole")
    weights.keep(objects, tmp_path / "one")
    objects.put("weights/a.bin", b"damaged")
    with pytest.raises(WeightsError, match=r"a\.bin has the sha256"):
        weights.fetch(objects, tmp_path / "two")
    objects.put("weights/a.bin.json", b"{")
    with pytest.raises(WeightsError, match="damaged"):
        weights.fetch(objects, tmp_path / "two")
    assert lying(tmp_path / "two") == {}


def test_nothing_is_written_outside_the_folder(objects: Objects, tmp_path: Path) -> None:
    assert [name for name in ("../a", "/a", "b/../../a", "..") if weights._below(name)] == []
    assert weights._below("a/b.bin")


def test_the_commands(s3: S3, tmp_path: Path) -> None:
    made(tmp_path / "one", "a.bin", b"whole")
    known = {
        "GENEFACE_S3_ENDPOINT": s3.s3_endpoint, "GENEFACE_S3_ACCESS_KEY": s3.s3_access_key,
        "GENEFACE_S3_SECRET_KEY": s3.s3_secret_key, "GENEFACE_S3_BUCKET": "weights-bucket",
    }  # fmt: skip

    def run(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **known, **more}
        return subprocess.run([sys.executable, "-m", "store", *command], env=env, capture_output=True, text=True, check=False)

    assert run("keep-weights", str(tmp_path / "one")).stdout == "kept: a.bin\n"
    assert run("fetch-weights", GENEFACE_WEIGHTS_DIR=str(tmp_path / "two")).stdout == "fetched: a.bin\n"
    assert (tmp_path / "two" / "a.bin").read_bytes() == b"whole"
    done = run("fetch-weights", str(tmp_path / "two"), GENEFACE_S3_ENDPOINT="http://127.0.0.1:1")
    assert (done.returncode, "MaxRetryError" in done.stderr) == (1, True)
