"""The HTTP server around the application."""

import socket

import uvicorn
from fastapi import FastAPI

from api.platform import Platform
from api.settings import Settings


class Server(uvicorn.Server):
    """uvicorn, which first ends open streams when it is stopped. In a thread: `run()`, and `should_exit = True` to end it."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        config = uvicorn.Config(
            app, host=settings.host, port=settings.port, log_config=None, access_log=False, server_header=False,
            timeout_graceful_shutdown=settings.shutdown_seconds, timeout_keep_alive=75, lifespan="on",
        )  # fmt: skip
        super().__init__(config)
        self._platform: Platform = app.state.platform

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._platform.stop()
        await super().shutdown(sockets)


def listen(settings: Settings) -> socket.socket:
    """A socket at the address of `settings`. Raises OSError, when the port is in use for example."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    # Its connections inherit it. asyncio sets it on its own sockets only, and without it every answer's body waits 40 ms for the
    # client's acknowledgement of the head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
