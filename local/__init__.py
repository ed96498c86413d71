"""The embedded default: PostgreSQL, S3, API and controller as one program on one machine."""

import sys

if sys.platform not in ("linux", "darwin"):  # before anything is imported that is not there
    sys.exit("The platform runs on one machine with Linux or macOS only; on Windows, use it inside WSL.")
