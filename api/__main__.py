"""`python -m api` serves; `python -m api errors` prints the table of error codes."""

import argparse
import signal
import sys
from contextlib import suppress

from api import errors
from api.app import create
from api.server import Server, listen
from api.settings import Settings
from store import logs
from store.settings import from_environment


def main() -> int:
    """Exit code 0 after SIGTERM or SIGINT, 1 when the address cannot be had, 2 for wrong settings."""
    parser = argparse.ArgumentParser(prog="python -m api", description="Serves the REST API. Settings come from GENEFACE_*.")
    parser.add_argument("command", nargs="?", choices=["serve", "errors"], default="serve", help="errors: print the error codes")
    if parser.parse_args().command == "errors":
        sys.stdout.write(errors.markdown() + "\n")
        return 0
    settings = from_environment(Settings)
    logs.configure(settings.log_level)
    try:
        listener = listen(settings)
    except OSError as error:
        sys.stderr.write(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}\n")
        return 1
    # uvicorn raises the signal that stopped it once more, when it is done.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with suppress(KeyboardInterrupt):
        Server(create(settings), settings).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
