"""Optional pretrained files: where they lie, and `python -m steps.weights [NAME…]`, which brings them.

`weights.toml` names them. Nothing else fetches; a step that is asked for a file that is not there says `weights_missing`.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from steps import fetching, inception, resemblyzer, voices, whisper
from steps.errors import InputError, TryAgainError
from steps.program import check_stop, run
from steps.progress import Reporter

TABLE = Path(__file__).resolve().parent.parent / "weights.toml"
CHUNK = 1 << 20
"""Bytes read at once."""
FORMATS: dict[str, Callable[[Path, Path], object]] = {
    "published": shutil.copyfile,
    **{form: partial(whisper.write_safetensors, form) for form in whisper.READERS},
    "torchscript-inception": inception.write_checkpoint,
    **{form: partial(voices.write_safetensors, form) for form in voices.READERS},
    "resemblyzer": resemblyzer.write_safetensors,
}
"""How a file is made from what was fetched; each raises ValueError for other contents."""


@dataclass(frozen=True)
class Source:
    """One place to have a file from; `sha256` and `bytes` are of its parts joined."""

    parts: tuple[str, ...]
    bytes: int
    sha256: str
    format: str


@dataclass(frozen=True)
class Entry:
    """One table of weights.toml."""

    name: str
    file: str
    licence: str
    what: str
    without: str
    sources: tuple[Source, ...]
    by_name_only: bool = False
    beside: tuple["Entry", ...] = ()
    """Small files that it is of no use without: brought before it."""


class _RefusedError(Exception):
    """A source whose bytes are not those that weights.toml names."""


def folder() -> Path:
    """`GENEFACE_WEIGHTS_DIR`, by default ~/.cache/geneface/weights."""
    return Path(os.environ.get("GENEFACE_WEIGHTS_DIR") or "~/.cache/geneface/weights").expanduser()


def path(name: str) -> Path:
    """The file `name` of weights.toml. Raises InputError `weights_missing` with the command that brings it."""
    entry = _entry(name, table())
    found = folder() / entry.file
    if not all((folder() / one.file).is_file() for one in (entry, *entry.beside)):
        raise InputError(
            "weights_missing", f"{name} is not in {folder()}; `make weights {name}` (python -m steps.weights {name}) brings it"
        )
    return found


def table(source: Path = TABLE) -> dict[str, Entry]:
    """All entries of weights.toml by name."""
    entries = {}
    for name, values in tomllib.loads(source.read_text("utf-8")).items():
        sources = _sources(values.pop("source"))
        beside = tuple(_beside(name, small, values) for small in values.pop("beside", ()))
        entries[name] = Entry(name=name, sources=sources, beside=beside, **values)
    return entries


def bring(entry: Entry, reporter: Reporter) -> dict[str, Any]:
    """Makes sure that the entry's file and those beside it lie in `folder()`, whole: tries the sources in their order and says
    what it did with the entry's own.

    Raises InputError `weights_refused` when a source had other bytes than weights.toml names and no other helped,
    TryAgainError `weights_unreachable` when none could be reached.
    """
    for small in entry.beside:
        bring(small, reporter)
    target = folder() / entry.file
    if _whole(target):
        reporter.message(f"{entry.name} is there already: {target}")
        return {"path": str(target), "did": "nothing", **_record(target)}
    refused = unreachable = ""
    for source in entry.sources:
        try:
            _make(entry.name, source, target, reporter)
        except _RefusedError as problem:
            refused = f"{entry.name}: {problem}"
            reporter.message(refused, level="warning")
        except fetching.UnreachableError as problem:
            unreachable = f"{entry.name}: {problem}"
            reporter.message(f"{unreachable}", level="warning")
        else:
            reporter.message(f"{entry.name} is there: {target} ({entry.licence})")
            return {"path": str(target), "did": "fetched", **_record(target)}
    if refused:
        raise InputError("weights_refused", refused)
    raise TryAgainError("weights_unreachable", f"no source could be reached: {unreachable}. Without it: {entry.without}")


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m steps.weights [NAME…]`: brings the files named, or all but those that come by name only."""
    entries = table()
    parser = argparse.ArgumentParser(
        prog="python -m steps.weights", description="Brings optional pretrained files into GENEFACE_WEIGHTS_DIR."
    )
    known = "; ".join(f"{entry.name} ({entry.licence}) – without it: {entry.without}" for entry in entries.values())
    default = "all but alternatives and those of no stated licence"
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which; by default {default}. {known}")
    names = parser.parse_args(arguments).names or [name for name, entry in entries.items() if not entry.by_name_only]

    def command(reporter: Reporter) -> dict[str, Any]:
        wanted = [_entry(name, entries) for name in names]
        return {entry.name: bring(entry, reporter) for entry in wanted}

    return run(command)


def _sources(tables: Sequence[dict[str, Any]]) -> tuple[Source, ...]:
    return tuple(Source(**{**found, "parts": tuple(found["parts"])}) for found in tables)


def _beside(name: str, small: dict[str, Any], values: dict[str, Any]) -> Entry:
    places = (Source((place,), small["bytes"], small["sha256"], "published") for place in small.get("from", ()))
    sources = (*places, *_sources(small.get("source", ())))
    own = {key: values[key] for key in ("licence", "what", "without")}
    return Entry(name=f"{name} {Path(small['file']).name}", file=small["file"], sources=sources, **own)


def _entry(name: str, entries: dict[str, Entry]) -> Entry:
    if name not in entries:
        raise InputError("weights_unknown", f"weights.toml names no {name!r}; it has {', '.join(entries)}")
    return entries[name]


def _make(name: str, source: Source, target: Path, reporter: Reporter) -> None:
    """Fetches, checks and converts one source; `target` appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as scratch:
        fetched, made = Path(scratch, "fetched"), Path(scratch, "made")
        _fetch(name, source, fetched, reporter)
        reporter.message(f"{name}: writing {target.name}")
        FORMATS[source.format](fetched, made)
        made.chmod(0o644)
        record = {
            "source": source.parts[0],
            "source_sha256": source.sha256,
            "bytes": made.stat().st_size,
            "sha256": _sha256(made),
        }
        Path(scratch, "record").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        made.replace(target)
        Path(scratch, "record").replace(_record_path(target))


def _fetch(name: str, source: Source, out: Path, reporter: Reporter) -> None:
    digest, done = hashlib.sha256(), 0
    reporter.message(f"{name}: fetching {source.bytes / 1e6:.0f} MB from {_names(source)}")
    with fetching.opened(source.parts) as parts, out.open("wb") as file:
        for part in parts:
            while chunk := fetching.read(part, CHUNK):
                check_stop()
                digest.update(chunk)
                file.write(chunk)
                done += len(chunk)
                if done > source.bytes:
                    raise _RefusedError(
                        f"{_names(source)} is longer than the {source.bytes} bytes that weights.toml names: refused"
                    )
                reporter.progress(f"fetch {name}", done, source.bytes)
    if done != source.bytes or digest.hexdigest() != source.sha256:
        raise _RefusedError(
            f"{_names(source)} has {done} bytes with sha256 {digest.hexdigest()}, "
            f"weights.toml names {source.bytes} bytes with {source.sha256}: refused"
        )


def _names(source: Source) -> str:
    """The parts of a source, for people."""
    return " + ".join(source.parts)


def _whole(target: Path) -> bool:
    """Whether `target` is the file that was written there."""
    record = _record(target)
    return target.is_file() and record.get("bytes") == target.stat().st_size and record.get("sha256") == _sha256(target)


def _record(target: Path) -> dict[str, Any]:
    """What is noted beside `target` about its making; empty when nothing is."""
    try:
        noted: dict[str, Any] = json.loads(_record_path(target).read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return noted


def _record_path(target: Path) -> Path:
    return target.with_name(target.name + ".json")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
