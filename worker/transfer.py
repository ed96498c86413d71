"""Files between the work folder and the object store, by presigned links, several at once.

A fetched file appears under its name only when its size and sha256 are right. A link that has expired is asked for anew.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import httpx

from steps.errors import TryAgainError
from worker.door import Door
from worker.patience import Patience, is_away, retry_after
from worker.protocol import CHUNK, File, Upload

Item = TypeVar("Item")

TRIES = 3
"""Of what ought to work at once (a sound file, a link just made) before it counts as broken."""


class _FaultError(Exception):
    """One try went wrong in a way that waiting does not mend."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _SilenceError(Exception):
    """The store said no more than `not now`."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"{response.request.method} of an object: {response.status_code}")
        self.asked = retry_after(response)


class Transfer:
    """Carries files for one run, at most `parallel` at once."""

    def __init__(self, client: httpx.Client, door: Door, parallel: int) -> None:
        self._client = client
        self._door = door
        self._parallel = parallel

    def fetch(self, files: Mapping[Path, File], patience: Patience) -> int:
        """Brings each file to its path; what lies there already is kept. Returns how many bytes came.

        Raises TryAgainError: `object_corrupt`, `object_missing`, `object_refused`, `platform_unreachable`.
        """
        missing = {path: file for path, file in files.items() if not file.is_at(path)}
        if not missing:
            return 0
        links = self._door.links(patience, get=sorted({file.name for file in missing.values()}))

        def one(path: Path) -> None:
            file = missing[path]

            def attempt(fresh: bool) -> None:
                found = self._door.links(patience, get=[file.name]) if fresh else links
                self._get(found.get[file.name], file, path, patience)

            path.parent.mkdir(parents=True, exist_ok=True)
            _persist(attempt, file.name, patience)

        self._all(one, list(missing))
        return sum(file.size for file in missing.values())

    def send(self, paths: Mapping[str, Path], patience: Patience) -> list[File]:
        """Uploads the file at each path under its name. Returns what was uploaded, to be published.

        Raises TryAgainError: `object_refused`, `platform_unreachable`.
        """
        files = {name: File.of(name, path) for name, path in paths.items()}
        links = self._door.links(patience, put=list(files.values()))

        def one(file: File) -> None:
            def attempt(fresh: bool) -> None:
                found = self._door.links(patience, put=[file]) if fresh else links
                self._put(found.put[file.name], file, paths[file.name], patience)

            _persist(attempt, file.name, patience)

        self._all(one, list(files.values()))
        return list(files.values())

    def _all(self, work: Callable[[Item], None], items: Sequence[Item]) -> None:
        with ThreadPoolExecutor(self._parallel, "transfer") as pool:
            try:
                for done in [pool.submit(work, item) for item in items]:
                    done.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _get(self, url: str, file: File, path: Path, patience: Patience) -> None:
        part = path.with_name(f".{path.name}.part")
        digest = hashlib.sha256()
        size = 0
        try:
            with self._client.stream("GET", url) as response, part.open("wb") as out:
                _check(response)
                for chunk in response.iter_bytes(CHUNK):
                    patience.check()
                    out.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
            if (size, digest.hexdigest()) != (file.size, file.sha256):
                raise _FaultError("object_corrupt", f"{size} bytes with sha256 {digest.hexdigest()} came, not what was promised")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _put(self, upload: Upload, file: File, path: Path, patience: Patience) -> None:
        headers = httpx.Headers(dict(upload.headers))
        headers["Content-Length"] = str(file.size)
        _check(self._client.put(upload.url, content=_chunks(path, patience), headers=headers))


def _chunks(path: Path, patience: Patience) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            patience.check()
            yield chunk


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    if is_away(response):
        raise _SilenceError(response)
    code = "object_missing" if response.status_code == 404 else "object_refused"
    raise _FaultError(code, f"the object store answered {response.status_code}")


def _persist(attempt: Callable[[bool], None], name: str, patience: Patience) -> None:
    """Until it works: silence is waited out, faults are borne `TRIES` times. `attempt` is told whether to ask for new links."""
    outage = patience.outage()
    faults = 0
    fresh = False
    while True:
        try:
            return attempt(fresh)
        except httpx.TransportError as error:
            outage.pause(f"{name}: {type(error).__name__} {error}")
        except _SilenceError as silence:
            outage.pause(f"{name}: {silence}", silence.asked)
        except _FaultError as fault:
            faults += 1
            fresh = True
            if faults >= TRIES:
                raise TryAgainError(fault.code, f"{name}: {fault}") from fault
