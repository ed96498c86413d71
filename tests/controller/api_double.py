"""An API server in this process that misbehaves on command: what a real one does under stress, when it is wanted.

It serves any namespaced path with list (pages), get, watch, post, put and delete, keeps resourceVersions, and lists what it was
asked. It is no Kubernetes: what a real one answers is tested against a real one (tests/apiserver).
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes import client

from controller.kube_api import KubeApi

Raw = dict[str, Any]
Fault = Callable[["Call"], bool]
"""Answers a call in its own way and says so, or lets it through (False)."""


class Call(BaseHTTPRequestHandler):
    """One HTTP request."""

    protocol_version = "HTTP/1.1"
    double: "ApiDouble"

    def answer(self, status: int, body: Raw, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: int, reason: str = "", message: str = "no", **headers: str) -> None:
        self.answer(status, {"kind": "Status", "code": status, "reason": reason, "message": message}, headers)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    @property
    def resource(self) -> str:
        return urlsplit(self.path).path

    @property
    def watching(self) -> bool:
        return "watch" in self.query

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def stream(self, event: Raw) -> None:
        data = json.dumps(event).encode() + b"\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def end_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def read_body(self) -> Raw:
        length = int(self.headers.get("Content-Length") or 0)
        return json.loads(self.rfile.read(length)) if length else {}

    def handle_any(self) -> None:
        self.body = self.read_body()
        try:
            self.double.handle(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class ApiDouble:
    """Objects by path, and the faults that stand before them."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self.version = 100
        self.objects: dict[str, Raw] = {}
        self.history: list[tuple[int, str, str, Raw]] = []
        """(version, type, collection, object)."""
        self.faults: list[Fault] = []
        self.calls: list[tuple[str, str, dict[str, str]]] = []
        self.counts: dict[str, int] = defaultdict(int)
        handler = type("Handler", (Call,), {"double": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.closed = False
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def api(self) -> KubeApi:
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{self.server.server_address[1]}"
        return KubeApi(configuration)

    def close(self) -> None:
        self.closed = True
        with self.lock:
            self.lock.notify_all()
        self.server.shutdown()
        self.server.server_close()

    def fail(self, fault: Fault, times: int = 1) -> None:
        """The next `times` calls that the fault wants are answered by it."""
        left = [times]

        def limited(call: Call) -> bool:
            if left[0] <= 0 or not fault(call):
                return False
            left[0] -= 1
            return True

        self.faults.append(limited)

    def put(self, collection: str, name: str, event: str = "", **fields: Any) -> Raw:
        """Creates or changes an object, and tells the watches."""
        with self.lock:
            self.version += 1
            path = f"{collection}/{name}"
            old = self.objects.get(path)
            metadata = {
                "name": name, "uid": f"uid-{self.version}", "creationTimestamp": "2026-01-01T00:00:00Z",
                **((old or {}).get("metadata") or {}), **fields.pop("metadata", {}), "resourceVersion": str(self.version),
            }  # fmt: skip
            raw = {**(old or {}), **fields, "metadata": metadata}
            self.objects[path] = raw
            self.tell(event or ("MODIFIED" if old else "ADDED"), collection, raw)
            return raw

    def remove(self, collection: str, name: str, quietly: bool = False) -> None:
        """`quietly`: no watch hears of it."""
        with self.lock:
            self.version += 1
            raw = self.objects.pop(f"{collection}/{name}")
            raw = {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}}
            if not quietly:
                self.tell("DELETED", collection, raw)

    def tell(self, type_: str, collection: str, raw: Raw) -> None:
        """An event for the watches, as it is."""
        with self.lock:
            self.history.append((int(raw["metadata"]["resourceVersion"]), type_, collection, raw))
            self.lock.notify_all()

    def handle(self, call: Call) -> None:
        with self.lock:
            self.calls.append((call.command, call.resource, call.query))
        if any(fault(call) for fault in list(self.faults)):
            return
        match call.command:
            case "GET" if call.watching:
                self._watch(call)
            case "GET":
                self._get(call)
            case "POST":
                self._post(call)
            case "PUT":
                self._put(call)
            case "DELETE":
                self._delete(call)

    def _get(self, call: Call) -> None:
        with self.lock:
            raw = self.objects.get(call.resource)
            if raw is not None:
                call.answer(200, raw)
                return
            parent = call.resource.rsplit("/", 1)[0]
            if "/namespaces/" not in call.resource or any(part in parent for part in ("/jobs", "/pods", "/leases")):
                call.refuse(404, "NotFound")
                return
            found = [raw for path, raw in sorted(self.objects.items()) if path.rsplit("/", 1)[0] == call.resource]
            start, limit = int(call.query.get("continue") or 0), int(call.query.get("limit") or 1000)
            metadata: Raw = {"resourceVersion": str(self.version)}
            if start + limit < len(found):
                metadata["continue"] = str(start + limit)
            call.answer(200, {"kind": "List", "metadata": metadata, "items": found[start : start + limit]})

    def _post(self, call: Call) -> None:
        name = call.body["metadata"]["name"]
        if f"{call.resource}/{name}" in self.objects:
            call.refuse(409, "AlreadyExists")
            return
        body = dict(call.body)
        body.setdefault("status", {})
        call.answer(201, self.put(call.resource, name, **body))

    def _put(self, call: Call) -> None:
        with self.lock:
            old = self.objects.get(call.resource)
            if old is None:
                call.refuse(404, "NotFound")
            elif call.body["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
                call.refuse(409, "Conflict")
            else:
                collection, name = call.resource.rsplit("/", 1)
                body = {key: value for key, value in call.body.items() if key != "metadata"}
                call.answer(200, self.put(collection, name, **body))

    def _delete(self, call: Call) -> None:
        if call.resource not in self.objects:
            call.refuse(404, "NotFound")
            return
        self.remove(*call.resource.rsplit("/", 1))
        call.answer(200, {"kind": "Status", "status": "Success"})

    def _watch(self, call: Call) -> None:
        seen = int(call.query["resourceVersion"])
        until = time.monotonic() + float(call.query["timeoutSeconds"])
        name = call.query.get("fieldSelector", "").removeprefix("metadata.name=")
        call.begin_stream()
        told = next((i for i, (version, *_) in enumerate(self.history) if version > seen), len(self.history))
        while not self.closed and time.monotonic() < until:
            with self.lock:
                fresh, told = self.history[told:], len(self.history)
                if not fresh:
                    self.lock.wait(0.05)
            for _, type_, collection, raw in fresh:
                if collection == call.resource and name in ("", raw["metadata"]["name"]):
                    call.stream({"type": type_, "object": raw})
        call.end_stream()


@contextmanager
def running() -> Iterator[ApiDouble]:
    double = ApiDouble()
    try:
        yield double
    finally:
        double.close()


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits until it holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.01)
