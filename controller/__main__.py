"""`python -m controller` looks after all requests until SIGTERM or SIGINT."""

import argparse
import signal
import sys
import threading

from controller.app import Controller
from controller.cluster import Cluster
from controller.errors import ClusterError
from controller.settings import Settings
from store import logs
from store.database import Database
from store.objects import Objects
from store.settings import from_environment


def main() -> int:
    """Exit code 0 after SIGTERM or SIGINT, 1 when the cluster cannot be had, 2 for wrong settings."""
    argparse.ArgumentParser(
        prog="python -m controller", description="Turns requests into Jobs, and Jobs into states. Settings come from GENEFACE_*."
    ).parse_args()
    settings = from_environment(Settings)
    logs.configure(settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        cluster = _cluster(settings)
    except ClusterError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    database = Database(settings.database_url)
    try:
        Controller(settings, database, Objects(settings), cluster).run(stop)
    finally:
        cluster.close()
        database.close()
    return 0


def _cluster(settings: Settings) -> Cluster:
    # Imported where it is used: other clusters need no psutil.
    from controller.local_cluster import LocalCluster  # noqa: PLC0415

    return LocalCluster(settings.work_folder, settings.slots)


if __name__ == "__main__":
    sys.exit(main())
