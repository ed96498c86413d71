"""`python -m controller` looks after all requests until SIGTERM or SIGINT."""

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from controller.app import Controller
from controller.cluster import Cluster
from controller.errors import ClusterError
from controller.metrics import Metrics, MetricsServer
from controller.settings import Settings
from store import logs
from store.database import Database
from store.objects import Objects
from store.settings import from_environment

log = logging.getLogger("controller")

LEADERSHIP_LOST = 1


def main() -> int:
    """Exit code 0 after SIGTERM or SIGINT, 1 when the cluster or the port cannot be had or leadership is lost, 2: settings."""
    argparse.ArgumentParser(
        prog="python -m controller", description="Turns requests into Jobs, and Jobs into states. Settings come from GENEFACE_*."
    ).parse_args()
    settings = from_environment(Settings)
    logs.configure(settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        _run(settings, stop)
    except (ClusterError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _run(settings: Settings, stop: threading.Event) -> None:
    metrics = Metrics()
    with ExitStack() as stack:
        if settings.metrics_listen_port is not None:
            server = stack.enter_context(closing(MetricsServer(metrics, settings.metrics_listen_port)))
            log.info("metrics are served", extra={"port": server.port})
        database = stack.enter_context(closing(Database(settings.database_url)))
        cluster = stack.enter_context(_local(settings) if settings.cluster == "local" else _kubernetes(settings, stop))
        if cluster is not None and not stop.is_set():
            Controller(settings, database, Objects(settings), cluster, metrics=metrics).run(stop)


# The clusters are imported where they are used: Kubernetes needs no psutil, one machine no client of Kubernetes.


@contextmanager
def _local(settings: Settings) -> Iterator[Cluster]:
    from controller.local_cluster import LocalCluster  # noqa: PLC0415

    with closing(LocalCluster(settings.work_folder, settings.slots)) as cluster:
        yield cluster


@contextmanager
def _kubernetes(settings: Settings, stop: threading.Event) -> Iterator[Cluster | None]:
    """Once this process leads; None: it was told to stop before. What runs on the cluster goes on without it."""
    from controller.bucket import Bucket  # noqa: PLC0415
    from controller.kube_api import KubeApi  # noqa: PLC0415
    from controller.kubernetes_cluster import KubernetesCluster, Place  # noqa: PLC0415
    from controller.lease import Lease  # noqa: PLC0415

    api = KubeApi.connect(settings.kubeconfig)
    name = f"{settings.instance}-controller"
    lease = Lease(api, settings.namespace, name, settings.identity or f"{socket.gethostname()}_{os.getpid()}", _leadership_lost)
    if not lease.acquire(stop):
        api.close()
        yield None
        return
    place = Place(settings.namespace, settings.instance, settings.queue_name is not None)
    bucket = Bucket(settings.writes_per_second, settings.writes_burst)
    try:
        with closing(KubernetesCluster(api, place, bucket)) as cluster:
            if not stop.is_set():
                cluster.wait()
            yield cluster
    finally:
        lease.release()
        api.close()


def _leadership_lost() -> None:
    """At once, whatever is under way: another controller may lead already."""
    logging.shutdown()
    os._exit(LEADERSHIP_LOST)


if __name__ == "__main__":
    sys.exit(main())
