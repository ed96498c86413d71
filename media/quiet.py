"""mediapipe's, TFLite's and absl's chatter on file descriptor 2, kept away from the JSON lines that belong there."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_LOCK = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Swallows what native code writes to stderr inside the block; when the block fails, it is written after all."""
    with _LOCK, _somewhere() as swallowed:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(swallowed.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            swallowed.seek(0)
            os.write(2, swallowed.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def _somewhere() -> IO[bytes]:
    """Memory where the system has such files: a container's disk may be read-only."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("stderr"), "w+b")
    return tempfile.TemporaryFile()
