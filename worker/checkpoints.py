"""A training's checkpoints, carried away while it goes on: one at a time, the newest first, those in between left out."""

import os
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from steps.errors import TryAgainError
from worker.control import Control
from worker.door import Door
from worker.errors import OVER, InterruptedWaitError, RefusedError
from worker.patience import Patience
from worker.protocol import Checkpoint
from worker.transfer import Transfer


class Checkpoints:
    """Publishes folders. Each is hard-linked into `shelf` at once, since the training may delete its own meanwhile."""

    def __init__(
        self, transfer: Transfer, door: Door, shelf: Path, control: Control, patience: Patience, say: Callable[[str, str], None],
        last_step: int,
    ) -> None:  # fmt: skip
        self._transfer = transfer
        self._door = door
        self._shelf = shelf
        self._control = control
        self._patience = patience
        self._say = say
        self._last_step = last_step
        self._offered: set[str] = set()
        self._waiting: Path | None = None
        self._closing = False
        self._changed = threading.Condition()
        shutil.rmtree(shelf, ignore_errors=True)
        shelf.mkdir(parents=True)
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def offer(self, folder: Path) -> None:
        """Says that `folder` holds a whole checkpoint. Returns at once."""
        if folder.name in self._offered:
            return
        try:
            shutil.copytree(folder, self._shelf / folder.name, copy_function=_link)
        except (OSError, shutil.Error) as error:
            shutil.rmtree(self._shelf / folder.name, ignore_errors=True)
            self._say(f"checkpoint {folder.name} could not be kept: {error}", "warning")
            return
        with self._changed:
            self._offered.add(folder.name)
            passed_over, self._waiting = self._waiting, self._shelf / folder.name
            self._changed.notify()
        if passed_over:
            shutil.rmtree(passed_over, ignore_errors=True)

    def close(self, flush: bool) -> None:
        """Ends after the upload under way; `flush`: and after the newest that waits."""
        with self._changed:
            if not flush:
                self._waiting = None
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (folder := self._next()) is not None:
            try:
                self._publish(folder)
            except OVER as error:
                self._control.abandon(error)
            except (RefusedError, TryAgainError, InterruptedWaitError) as error:
                # The training is worth more than one of its checkpoints; the next one tries again.
                self._say(f"checkpoint {folder.name} was not published: {error}", "warning")
            except Exception as error:
                self._control.abandon(error)
            shutil.rmtree(folder, ignore_errors=True)

    def _next(self) -> Path | None:
        with self._changed:
            while self._waiting is None and not self._closing:
                self._changed.wait()
            folder, self._waiting = self._waiting, None
        return None if self._control.abandoned.is_set() else folder

    def _publish(self, folder: Path) -> None:
        paths = {f"checkpoints/{folder.name}/{path.relative_to(folder).as_posix()}": path for path in files_below(folder)}
        files = self._transfer.send(paths, self._patience)
        # The last one counts by its step, and stages may count theirs anew: it always rises.
        self._last_step = max(_number(folder.name), self._last_step + 1)
        self._door.publish_checkpoint(self._patience, Checkpoint(name=folder.name, step=self._last_step, files=tuple(files)))
        self._say(f"checkpoint {folder.name} published ({sum(file.size for file in files)} bytes)", "info")


def files_below(folder: Path) -> list[Path]:
    """The plain files in `folder` and below, in order; none whose path has a part that starts with a dot."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
    return target


def _number(name: str) -> int:
    found = re.search(r"(\d{1,18})$", name)
    return int(found[1]) if found else 0
