"""The Kubernetes API server: addresses, keys and TLS by the official client, plain dicts in and out.

Nothing is tried twice here, and nothing waits without an end: every call has a connect and a read timeout, and dead connections
are found by TCP keepalive. Who calls decides what to do about an error.
"""

import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from controller.errors import ApiAwayError, ApiError, ClusterError

Raw = dict[str, Any]
Query = Mapping[str, str | int]

CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
CONNECTIONS = 16
"""Kept open: those of the watches, and of the calls that are made side by side."""
USER_AGENT = "geneface-controller"
_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), value)
      for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)) if hasattr(socket, name)),
]  # fmt: skip


class KubeApi:
    """One API server. Safe to share between threads."""

    def __init__(self, configuration: client.Configuration) -> None:
        configuration.retries = False  # urllib3 would try again by itself, a POST included
        configuration.socket_options = [*urllib3.connection.HTTPConnection.default_socket_options, *_KEEPALIVE]
        configuration.connection_pool_maxsize = CONNECTIONS
        self._client = client.ApiClient(configuration)
        self._client.user_agent = USER_AGENT

    @classmethod
    def connect(cls, kubeconfig: Path | None = None) -> "KubeApi":
        """By the pod's service account, else by `kubeconfig`, else as kubectl would. Raises ClusterError."""
        configuration = client.Configuration()
        try:
            if kubeconfig is None and Path(config.incluster_config.SERVICE_TOKEN_FILENAME).exists():
                config.load_incluster_config(configuration)
            else:
                config.load_kube_config(None if kubeconfig is None else str(kubeconfig), client_configuration=configuration)
        except (config.ConfigException, OSError, ValueError) as error:
            raise ClusterError(f"no way to the Kubernetes API server: {error}") from error
        return cls(configuration)

    def call(
        self, method: str, path: str, body: Raw | None = None, query: Query = MappingProxyType({}), seconds: float = READ_SECONDS
    ) -> Raw:
        """The answer's object. Raises ApiError, and ApiAwayError when none came within `seconds`."""
        with self._request(method, path, body, query, seconds) as response:
            answer = json.loads(response.data)
        return answer if isinstance(answer, dict) else {}

    def text(self, path: str, query: Query) -> str:
        """An answer that is no object, such as a log. Raises ApiError, ApiAwayError."""
        with self._request("GET", path, None, query, READ_SECONDS) as response:
            return response.data.decode(errors="replace")

    def watch(self, path: str, query: Query, silence: float) -> Iterator[Raw]:
        """The events of a watch, until the server ends it. Raises ApiError; ApiAwayError after `silence` seconds without one."""
        with self._request("GET", path, None, {**query, "watch": 1}, silence) as response, closing(response):
            kept = b""
            for piece in response.stream(1 << 16, decode_content=True):
                *lines, kept = (kept + piece).split(b"\n")
                for line in filter(None, lines):
                    event: Raw = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _refused(event["object"].get("code") or 500, json.dumps(event["object"]), {})
                    yield event

    def close(self) -> None:
        self._client.rest_client.pool_manager.clear()
        self._client.close()

    @contextmanager
    def _request(self, method: str, path: str, body: Raw | None, query: Query, silence: float) -> Iterator[urllib3.HTTPResponse]:
        try:
            response = self._client.call_api(
                path, method, header_params={"Accept": "application/json"}, query_params=list(query.items()), body=body,
                auth_settings=["BearerToken"], _preload_content=False, _request_timeout=(min(CONNECT_SECONDS, silence), silence),
            )  # fmt: skip
            try:
                yield response
            finally:
                response.release_conn()
        except ApiException as error:
            if not error.status:
                raise ApiAwayError(f"the Kubernetes API server cannot be reached: {error.reason}") from error
            raise _refused(error.status, error.body or "", error.headers or {}) from error
        except (urllib3.exceptions.HTTPError, OSError, json.JSONDecodeError) as error:
            raise ApiAwayError(f"the Kubernetes API server does not answer: {error}") from error


def _refused(status: int, body: str, headers: Mapping[str, str]) -> ApiError:
    """The server's own words, and when it wants to be asked again."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    seconds = str(headers.get("Retry-After") or (answer.get("details") or {}).get("retryAfterSeconds") or "")
    return ApiError(
        status, str(answer.get("reason") or ""), str(answer.get("message") or body.strip()[:300] or "no reason given"),
        float(seconds) if re.fullmatch(r"\d+(\.\d+)?", seconds) else None,
    )  # fmt: skip


def selector(labels: Mapping[str, str]) -> str:
    """A label selector that wants all of them."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def namespaced(group: str, namespace: str, resource: str, name: str = "", part: str = "") -> str:
    """The path of a namespaced resource. `group`: `api/v1`, `apis/batch/v1`…"""
    parts = (group, "namespaces", quote(namespace), resource, quote(name), part)
    return "/" + "/".join(filter(None, parts))
