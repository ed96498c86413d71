"""The state folder of the local platform.

state.json      version of this layout, keys of the embedded object storage, key that signs attempt tokens
lock            held while a platform runs on the folder
postgres/       the embedded database's data; postgres.unfinished is there while it is being made
objects/        the embedded object storage's files
cluster/        LocalCluster: work folders and records of running processes
tts/            record of the TTS service's process
demo/           what `make demo` made
*.log
"""

import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from local.errors import AlreadyRunningError, FolderError
from local.servers import Keys, new_keys

VERSION = 1


@dataclass(frozen=True)
class Secrets:
    """Made once per state folder."""

    s3: Keys
    token_key: str


class StateFolder:
    """One folder, used by one platform at a time."""

    def __init__(self, path: Path) -> None:
        """Makes the folder where it is missing. Raises FolderError when it can't be written."""
        self.path = path.expanduser().resolve()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".writable-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise FolderError(
                f"the state folder {self.path} can't be written: {error.strerror}; choose another with GENEFACE_HOME"
            ) from error
        self._lock: IO[str] | None = None

    def acquire(self) -> Secrets:
        """Holds the folder until the process ends, and reads or makes its secrets.

        Raises FolderError: another platform runs on it, a newer version made it, or nothing can be written to it.
        """
        try:
            self._lock = self._locked()
            return self.load() or self._create()
        except OSError as error:
            raise FolderError(f"the state folder {self.path} can't be used: {error.strerror}") from error

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def load(self) -> Secrets | None:
        """What an earlier start saved; None: there was none. Raises FolderError."""
        file = self.path / "state.json"
        try:
            saved = json.loads(file.read_text())
            if saved["version"] <= VERSION:
                return Secrets(s3=Keys(**saved["s3"]), token_key=saved["token_key"])
        except FileNotFoundError:
            return None
        except (ValueError, LookupError, TypeError) as error:
            raise FolderError(f"{file} is damaged: {type(error).__name__}: {error}") from error
        raise FolderError(
            f"a newer version made the state folder {self.path} (layout {saved['version']}, this program knows {VERSION}): "
            "use that version, or another folder with GENEFACE_HOME"
        )

    def _locked(self) -> IO[str]:
        handle = (self.path / "lock").open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise AlreadyRunningError(f"a platform already runs on {self.path} (process {holder})") from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        return handle

    def _create(self) -> Secrets:
        file = self.path / "state.json"
        made = Secrets(s3=new_keys(), token_key=secrets.token_urlsafe(48))
        new = file.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump({"version": VERSION, **asdict(made)}, stream, indent=2)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(file)
        return made
