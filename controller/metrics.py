"""What the controller says of itself: Prometheus metrics and a liveness answer, over HTTP where a port is set."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from controller.cluster import Cluster

STALE_SECONDS = 120.0
"""A loop that has not turned for so long hangs: the longest statement takes 30 s."""


class Metrics:
    """One registry for each controller, so that several live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.cluster: Cluster | None = None
        """What runs Jobs, once this controller leads."""
        self._turned = 0.0
        self.actions = Counter("geneface_controller_actions", "Actions carried out, by kind", ["action"], registry=self.registry)
        self.errors = Counter("geneface_controller_errors", "Looks that failed", ["error"], registry=self.registry)
        self.looks = Histogram("geneface_controller_look_seconds", "Time of a look at some requests", registry=self.registry)
        self.start = Histogram(
            "geneface_controller_start_seconds", "From a request's commit to its first Job",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 60, 600), registry=self.registry,
        )  # fmt: skip
        self._value("geneface_controller_leads", "1: this controller leads; 0: it stands by", lambda: float(self.leads))
        self._value("geneface_controller_last_look_age_seconds", "Since the loop turned last", self.age)
        self._value("geneface_controller_cluster_age_seconds", "Since the cluster was last heard from", self._cluster_age)
        self.queue = Gauge("geneface_controller_queue", "Requests that wait for a look", registry=self.registry)

    def turned(self) -> None:
        """The loop is alive."""
        self._turned = time.monotonic()

    @property
    def leads(self) -> bool:
        return self._turned > 0.0

    def age(self) -> float:
        """Seconds since the loop turned; 0 before it begins."""
        return time.monotonic() - self._turned if self.leads else 0.0

    @property
    def alive(self) -> bool:
        """Standing by is being alive."""
        return max(self.age(), self._cluster_age()) < STALE_SECONDS

    def _cluster_age(self) -> float:
        return 0.0 if self.cluster is None else self.cluster.age()

    def _value(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(value)


class MetricsServer:
    """`/metrics` and `/healthz`. Port 0: any; `port` says which."""

    def __init__(self, metrics: Metrics, port: int, host: str = "0.0.0.0") -> None:  # noqa: S104 - a pod is scraped from outside
        self._server = ThreadingHTTPServer((host, port), _handler(metrics))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path:
                case "/metrics":
                    self._answer(200, generate_latest(metrics.registry))
                case "/healthz":
                    self._answer(200, b"ok\n") if metrics.alive else self._answer(503, b"the loop hangs\n")
                case _:
                    self._answer(404, b"not here\n")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not worth a line each."""

    return Handler
