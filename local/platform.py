"""All of the platform in one process: embedded servers, migrations, API, controller, LocalCluster.

Started in the order in which one needs the other, stopped in the opposite order. A server that dies is started again.
"""

import logging
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3
from minio.error import MinioException
from sqlalchemy.exc import OperationalError

import api.app
import api.server
import api.settings
import controller.app
import controller.settings
from controller.errors import ClusterError
from controller.local_cluster import LocalCluster
from local.errors import LocalError, ServerError
from local.servers import ObjectServer, Postgres, require_free
from local.settings import LocalSettings
from local.state import Secrets, StateFolder
from steps import weights
from store import migrate
from store.database import Database
from store.errors import SchemaNewerError
from store.objects import Objects

START_SECONDS = 30.0
STOP_SECONDS = 15.0
WATCH_SECONDS = 1.0

log = logging.getLogger(__name__)


class Platform:
    """A context manager: entering starts everything, leaving ends every process that it started."""

    def __init__(self, settings: LocalSettings) -> None:
        self.settings = settings
        self.url = f"http://{'127.0.0.1' if settings.host == '0.0.0.0' else settings.host}:{settings.port}"  # noqa: S104 - not bound here
        self._stack = ExitStack()
        self._stop = threading.Event()
        self._failure: str | None = None
        self._servers: list[Postgres | ObjectServer] = []

    def __enter__(self) -> Self:
        """Raises LocalError with one clear line."""
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def watch(self) -> None:
        """Returns when `stop` is called. Raises as `look_after` does."""
        while not self._stop.wait(WATCH_SECONDS):
            self.look_after()

    def look_after(self) -> None:
        """To be called now and then: starts what has ended. Raises LocalError when a part has failed for good."""
        if self._failure:
            raise LocalError(self._failure)
        for server in self._servers:
            if not server.alive():
                self._start_again(server)

    def stop(self) -> None:
        self._stop.set()

    def _start_again(self, server: Postgres | ObjectServer) -> None:
        name = {"server": type(server).__name__}
        log.warning("an embedded server ended and is started again", extra=name)
        try:
            server.start()
        except LocalError as error:  # a full disk, say: whoever makes room finds the platform well again
            log.error("it did not start and is tried again: %s", error, extra=name)

    def _start(self) -> None:
        state = StateFolder(self.settings.home)
        secrets = state.acquire()
        self._stack.callback(state.release)
        require_free(self.settings.port, "the API", "GENEFACE_PORT")
        try:
            cluster = LocalCluster(state.path / "cluster", slots=self.settings.slots)  # ends what an earlier run left behind
        except ClusterError as error:
            raise LocalError(error.message) from error
        connections = self._connect(state.path, secrets)
        api_settings = api.settings.Settings(
            host=self.settings.host, port=self.settings.port, weights_dir=weights.folder(), **connections
        )
        controller_settings = controller.settings.Settings(api_url=self.url, **connections)
        database, objects = Database(api_settings.database_url), Objects(api_settings)
        self._stack.callback(database.close)
        _prepare(database, objects)
        self._serve(api_settings)
        self._stack.callback(cluster.close)  # while the API still takes the last checkpoints
        self._control(controller.app.Controller(controller_settings, database, objects, cluster))

    def _connect(self, folder: Path, secrets: Secrets) -> dict[str, Any]:
        """Starts what is not given, and says where all is."""
        values: dict[str, Any] = {"token_key": secrets.token_key}
        if self.settings.database_url is None:
            postgres = Postgres(folder / "postgres")
            values["database_url"] = self._run(postgres)
        if self.settings.s3_endpoint is None:
            keys = secrets.s3
            values["s3_endpoint"] = self._run(ObjectServer(folder / "objects", self.settings.local_s3_port, keys))
            values |= {"s3_public_endpoint": None, "s3_access_key": keys.access, "s3_secret_key": keys.secret}
        return values

    def _run(self, server: Postgres | ObjectServer) -> str:
        self._stack.callback(server.stop)
        where = server.start()
        self._servers.append(server)
        return where

    def _serve(self, settings: api.settings.Settings) -> None:
        server = api.server.Server(api.app.create(settings), settings)
        thread = self._thread("the API", server.run)
        self._stack.callback(thread.join, STOP_SECONDS)
        self._stack.callback(setattr, server, "should_exit", True)
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise ServerError(
                    f"the API did not start on {settings.host}:{settings.port}; see platform.log in the state folder"
                )
            time.sleep(0.02)

    def _control(self, program: controller.app.Controller) -> None:
        thread = self._thread("the controller", lambda: program.run(self._stop))
        self._stack.callback(thread.join, STOP_SECONDS)
        self._stack.callback(self._stop.set)

    def _thread(self, name: str, target: Any) -> threading.Thread:
        def run() -> None:
            try:
                target()
            except BaseException as error:
                log.exception("a part of the platform failed", extra={"part": name})
                self._failure = f"{name} failed: {error}"
            else:
                if not self._stop.is_set():
                    self._failure = self._failure or f"{name} ended unexpectedly"

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread


def _prepare(database: Database, objects: Objects) -> None:
    """The schema and the bucket. Raises LocalError with one line."""
    try:
        migrate.upgrade(database)
    except SchemaNewerError as error:
        raise LocalError(error.message) from error
    except OperationalError as error:
        raise ServerError(f"the database cannot be used: {str(error.orig).splitlines()[0]}") from error
    try:
        objects.ensure_bucket()
    except (MinioException, urllib3.exceptions.HTTPError) as error:
        raise ServerError(f"the object storage cannot be used: {str(error).splitlines()[0]}") from error
