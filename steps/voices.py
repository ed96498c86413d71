"""Kokoro's voices of several makers, brought into one file: a float32 tensor [510, 256] under each voice's name, one style for
every number of phonemes.
"""

import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    Styles = dict[str, np.ndarray]

LENGTHS, WIDTH = 510, 256
_PACKAGED = re.compile(r"[^/]+/voices/([a-z]{2}_[a-z]+)\.bin")


def write_safetensors(form: str, source: Path, out: Path) -> None:
    """Reads the voices `source` of the format `form` and writes them to `out`. Raises ValueError for other contents."""
    from safetensors.numpy import save_file  # noqa: PLC0415 - only who fetches weights needs it

    styles = READERS[form](source)
    if not styles or any(style.shape != (LENGTHS, WIDTH) for style in styles.values()):
        raise ValueError(f"{source.name} holds no voices of {LENGTHS} styles")
    save_file(styles, out)


def read_npz(path: Path) -> "Styles":
    """kokoro-onnx's file: an array [510, 1, 256] a voice."""
    import numpy as np  # noqa: PLC0415 - a worker without numpy imports this room too

    with np.load(path, allow_pickle=False) as arrays:
        return {name: np.ascontiguousarray(arrays[name], np.float32).reshape(-1, WIDTH) for name in arrays.files}


def read_package(path: Path) -> "Styles":
    """The npm package kokoro-js: a file of little-endian float32 a voice."""
    import numpy as np  # noqa: PLC0415 - as above

    styles = {}
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            found = _PACKAGED.fullmatch(member.name)
            content = archive.extractfile(member) if found else None
            if found and content:
                styles[found[1]] = np.frombuffer(content.read(), "<f4").reshape(-1, WIDTH)
    return styles


READERS: "dict[str, Callable[[Path], Styles]]" = {"kokoro-npz": read_npz, "kokoro-js": read_package}
