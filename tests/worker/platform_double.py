"""Plays the API's workers' door and S3 on one port, holds the worker to the protocol, and has faults on demand."""

import hashlib
import json
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ATTEMPT = "0198c0de-0000-7000-8000-000000000001"
TOKEN = "attempt-token"
PUT_NAME = re.compile(r"^(dataset|checkpoints/[\w.-]+|model)/[\w./-]+$|^[\w-][\w.-]*$")


def described(name, content):
    return {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


class Platform:
    """State, faults and what was seen. `violations` stays empty as long as the worker keeps to the protocol."""

    def __init__(self, kind="training", steps=("preprocess", "train"), inputs=None, spec=None):
        self.kind, self.steps, self.spec = kind, list(steps), spec or {}
        self.inputs = inputs or {}
        self.objects = {f"/in/{name}": content for name, content in self.inputs.items()}
        self.dataset = None
        self.checkpoint = None
        self.owner = None
        self.state = "running"
        self.stop = False
        self.reclaimable = False
        self.calls = []
        self.reports = []
        self.published = []
        self.puts = Counter()
        self.gets = Counter()
        self.violations = []
        self.faults = []
        self.away_until = 0.0
        self.expired = set()
        self.generation = 0
        self._lock = threading.Lock()
        self._server = None
        self.start()

    def start(self, port=0):
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                platform.handle(self)

            do_GET = do_PUT = do_POST

            def log_message(self, *_arguments):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 64

            def handle_error(self, request, client_address):
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def away(self, seconds):
        """From now on no answer at all."""
        self.away_until = time.monotonic() + seconds

    def fault(self, method, part, *answers):
        """The next requests of `method` whose path holds `part` get these: a status, (status, headers), or bytes for a body."""
        self.faults.append([method, part, list(answers)])

    @property
    def lines(self):
        """The log as the API would keep it: parts by step and number, the last sent under a number wins."""
        parts = {(report["step"], report["seq"]): report["lines"] for report in self.reports}
        order = {step: i for i, step in enumerate(self.steps)}
        return [line for key in sorted(parts, key=lambda key: (order[key[0]], key[1])) for line in parts[key]]

    def messages(self):
        return [line.get("message", "") for line in self.lines]

    def seen(self, what):
        return [published for published in self.published if published["what"] == what]

    def handle(self, handler):
        length = int(handler.headers.get("Content-Length") or 0)
        if "chunked" in handler.headers.get("Transfer-Encoding", ""):
            self.violations.append("a chunked body: S3 takes none")
        body = handler.rfile.read(length)
        if time.monotonic() < self.away_until:
            handler.close_connection = True
            return
        with self._lock:
            status, headers, content = self._answer(handler, body)
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _answer(self, handler, body):
        url = urlsplit(handler.path)
        for fault in self.faults:
            if fault[0] == handler.command and fault[1] in url.path and fault[2]:
                answer = fault[2].pop(0)
                if isinstance(answer, bytes):
                    return 200, {}, answer
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                return status, headers, b"<html>not now</html>"
        if url.path.startswith("/v1/"):
            return self._door(handler, url.path, body)
        return self._store(handler, url, body)

    def _store(self, handler, url, body):
        if int(parse_qs(url.query)["generation"][0]) < self.generation:
            return 403, {}, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
        if "Authorization" in handler.headers:
            self.violations.append("the token was shown to the object store")
        if handler.command == "PUT":
            if handler.headers.get("x-signed") != "yes":
                return 403, {}, b"signature"
            self.objects[url.path] = body
            self.puts[url.path] += 1
            return 200, {}, b""
        self.gets[url.path] += 1
        if url.path not in self.objects:
            return 404, {}, b""
        return 200, {}, self.objects[url.path]

    def _door(self, handler, path, body):
        call = path.removeprefix(f"/v1/attempts/{ATTEMPT}/")
        if handler.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._problem(401, "token_invalid")
        if handler.headers.get("Content-Type") != "application/json":
            self.violations.append("not sent as JSON")
        message = json.loads(body)
        self.calls.append((call, message))
        refused = self._fence(call, message)
        if refused:
            return self._problem(409, refused)
        answer = getattr(self, f"_{call}")(message)
        return answer if isinstance(answer, tuple) else (200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _fence(self, call, message):
        if self.state == "stale":
            return "attempt_stale"
        if self.state == "final":
            same = call == "publish" and message["what"] == "result" and message["run"] == self.owner
            if not same and not (call == "claim" and self.reclaimable and message["run"] == self.owner):
                return "attempt_final"
        if call == "claim" and self.owner is None:
            self.owner = message["run"]
        if message["run"] != self.owner:
            if call != "claim":
                self.violations.append(f"a twin called {call}")
            return "attempt_owned"
        return None

    def _problem(self, status, code):
        problem = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": f"{code}, in words"}
        return status, {"Content-Type": "application/problem+json"}, json.dumps(problem).encode()

    def _claim(self, message):
        self._keys(message, {"run", "step"}, {"dataset"})
        found = self.dataset if "dataset" in message else None
        if "dataset" in message and message["dataset"] != {"version": 7, "options_hash": "abcd"}:
            self.violations.append(f"claimed with {message['dataset']}")
        return {
            "request": "0198c0de-0000-7000-8000-000000000000", "attempt": 2, "kind": self.kind, "avatar": "ada",
            "spec": self.spec, "steps": self.steps, "inputs": [described(name, content) for name, content in self.inputs.items()],
            "dataset": found and [described(name, content) for name, content in found.items()],
            "checkpoint": self.checkpoint and {
                **{name: self.checkpoint[name] for name in ("name", "step")},
                "files": [described(name, content) for name, content in self.checkpoint["files"].items()],
            },
            "published": self.state == "final", "report_seconds": 2.0, "a word of a later version": 1,
        }  # fmt: skip

    def offer(self, dataset=None, checkpoint=None):
        """Publishes a dataset or a checkpoint of an earlier attempt: file names → contents."""
        self.dataset = dataset or self.dataset
        self.checkpoint = checkpoint or self.checkpoint
        files = {**(dataset or {}), **(checkpoint["files"] if checkpoint else {})}
        self.objects |= {f"/in/{name}": content for name, content in files.items()}

    def _links(self, message):
        self._keys(message, {"run", "get", "put"})
        for file in message["put"]:
            self._keys(file, {"name", "size", "sha256"})
            if not PUT_NAME.match(file["name"]) or ".." in file["name"]:
                self.violations.append(f"a link to put {file['name']}")
        query = f"?generation={self.generation}"
        return {
            "get": {name: f"{self.url}/in/{name}{query}" for name in message["get"]},
            "put": {
                file["name"]: {"url": f"{self.url}/out/{file['name']}{query}", "headers": {"x-signed": "yes"}}
                for file in message["put"]
            },
            "expires_in": 3600,
        }

    def _report(self, message):
        self._keys(message, {"run", "step", "seq", "stage", "progress", "eta_seconds", "metrics", "lines"})
        earlier = [report for report in self.reports if report["step"] == message["step"]]
        if earlier and message["seq"] not in (earlier[-1]["seq"], earlier[-1]["seq"] + 1):
            self.violations.append(f"report {message['seq']} after {earlier[-1]['seq']}")
        again = [report for report in earlier if report["seq"] == message["seq"]]
        if again and again[-1]["lines"] != message["lines"]:
            self.violations.append(f"report {message['seq']} repeated with other lines")
        told = [report["progress"] for report in self.reports if report["progress"] is not None]
        if message["progress"] is not None and not max([0, *told]) - 1e-9 <= message["progress"] <= 1:
            self.violations.append(f"progress {message['progress']} after {max(told, default=0)}")
        for line in message["lines"]:
            labels = {"request", "attempt", "kind", "avatar", "step", "time", "level"}
            if not labels <= set(line) or line["step"] != message["step"]:
                self.violations.append(f"a line without its labels: {line}")
        self.reports.append({**message, "at": time.monotonic()})
        return {"stop": self.stop}

    def _publish(self, message):
        what = message["what"]
        self._keys(message, {"run", "step", "what", what, "files"})
        if what == "dataset":
            self._keys(message["dataset"], {"version", "options_hash", "options", "video_sha256"})
        if what == "checkpoint":
            self._keys(message["checkpoint"], {"name", "step"})
        for file in message["files"]:
            content = self.objects.get(f"/out/{file['name']}")
            if content is None or described(file["name"], content) != file:
                return self._problem(422, "object_missing")
        self.published.append(message)
        if what == "result":
            missing = set(message["result"]["outputs"].values()) - {file["name"] for file in message["files"]}
            if missing:
                self.violations.append(f"outputs without a file: {missing}")
            self.state = "final"
        return {"accepted": True}

    def _keys(self, message, needed, allowed=frozenset()):
        if not needed <= set(message) <= needed | allowed:
            self.violations.append(f"{sorted(message)} instead of {sorted(needed)}")


def until(condition, seconds=10.0):
    """Waits for `condition` to hold."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
    return found
