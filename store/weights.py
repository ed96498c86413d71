"""Optional pretrained files in the bucket, for clusters that reach no publisher: weights/<file>, its record weights/<file>.json.

They are the files that `make weights` makes, with the records that it writes beside them, which tell a whole file from another.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path, PurePosixPath

from store.errors import WeightsError
from store.objects import Objects

PREFIX = "weights/"
RECORD = ".json"


def default_folder() -> Path:
    """`GENEFACE_WEIGHTS_DIR`, by default ~/.cache/geneface/weights."""
    return Path(os.environ.get("GENEFACE_WEIGHTS_DIR") or "~/.cache/geneface/weights").expanduser()


def keep(objects: Objects, folder: Path) -> list[str]:
    """Puts every recorded file of `folder` into the bucket, and says which were not there yet. Raises WeightsError."""
    objects.ensure_bucket()
    kept = []
    for file in sorted(folder.rglob("*")):
        record = file.with_name(file.name + RECORD)
        if not file.is_file() or not record.is_file():
            continue
        name, noted = file.relative_to(folder).as_posix(), record.read_bytes()
        if _noted(objects, name) == noted:
            continue
        _check(name, file, noted)
        with file.open("rb") as content:
            objects.put_stream(PREFIX + name, content, file.stat().st_size)
        objects.put(PREFIX + name + RECORD, noted)
        kept.append(name)
    return kept


def fetch(objects: Objects, folder: Path) -> list[str]:
    """Brings every file that the bucket keeps with its record, and says which were not there yet.

    A file appears whole or not at all. Raises WeightsError.
    """
    keys = set(objects.names(PREFIX)) if objects.ready() else set()
    fetched = []
    for key in sorted(keys):
        name = key.removeprefix(PREFIX)
        if key + RECORD not in keys or not _below(name):
            continue
        noted = objects.get(key + RECORD)
        target = folder / name
        record = target.with_name(target.name + RECORD)
        if target.is_file() and record.is_file() and record.read_bytes() == noted:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as scratch:
            made = Path(scratch, "made")
            with made.open("wb") as file:
                for chunk in objects.read(key):
                    file.write(chunk)
            _check(name, made, noted)
            made.chmod(0o644)
            Path(scratch, "record").write_bytes(noted)
            made.replace(target)
            Path(scratch, "record").replace(record)
        fetched.append(name)
    return fetched


def _noted(objects: Objects, name: str) -> bytes | None:
    key = PREFIX + name
    there = objects.stat(key) and objects.stat(key + RECORD)
    return objects.get(key + RECORD) if there else None


def _check(name: str, file: Path, noted: bytes) -> None:
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    try:
        named = json.loads(noted)["sha256"]
    except (ValueError, LookupError, TypeError):
        raise WeightsError(f"the record of {name} is damaged") from None
    if named != found:
        raise WeightsError(f"{name} has the sha256 {found}, its record names {named}")


def _below(name: str) -> bool:
    """Whether it stays in the folder, whoever wrote to the bucket."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.name not in ("", ".")
