"""Prometheus metrics: of the API's answers as they go out, of the requests as the database has them when asked."""

import logging
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from store import requests
from store.database import AWAY, Database
from store.models import FINAL, OPEN

disable_created_metrics()  # type: ignore[no-untyped-call]  # as old as the process: noise

_log = logging.getLogger("api.measures")

FINAL_SECONDS = 60.0
"""How often final requests are counted, which takes the longer the more there are; open ones are counted every time."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class Measures:
    """One registry per application, so that two in one process do not mix."""

    def __init__(self, database: Database) -> None:
        self.registry = CollectorRegistry()
        labels = ["method", "route", "status"]
        self._answers = Counter("geneface_http_answers", "Answers given", labels, registry=self.registry)
        self._seconds = Histogram(
            "geneface_http_seconds",
            "Seconds until its end",
            ["method", "route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.registry.register(_Requests(database))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answer."""
        self._answers.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


class _Requests(Collector):
    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted_at = -FINAL_SECONDS
        self._counted: dict[tuple[str, str], int] = {}

    def describe(self) -> Iterator[Metric]:
        yield from ()

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("geneface_database_up", "1: the database answers")
        try:
            with self._database.look() as session:
                counts = {**self._final(session), **requests.counts(session, OPEN)}
                age = requests.queue_age(session)
        except (DBAPIError, *AWAY) as error:
            _log.warning("no metrics from the database: %s", type(error).__name__)
            up.add_metric([], 0.0)
            yield up
            return
        up.add_metric([], 1.0)
        number = GaugeMetricFamily("geneface_requests", "Requests by kind and state", labels=["kind", "state"])
        for (kind, state), count in counts.items():
            number.add_metric([kind, state], count)
        oldest = GaugeMetricFamily("geneface_queue_age_seconds", "Seconds that the oldest queued request has waited")
        oldest.add_metric([], age)
        yield from (up, number, oldest)

    def _final(self, session: Session) -> dict[tuple[str, str], int]:
        if time.monotonic() - self._counted_at >= FINAL_SECONDS:
            self._counted, self._counted_at = requests.counts(session, FINAL), time.monotonic()
        return self._counted
