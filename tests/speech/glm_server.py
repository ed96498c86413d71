"""A local server that speaks the protocol of Zhipu's chat completions, over real sockets: well, or with one of the usual faults.

Also by itself, for trying dialogues without a key: `python tests/speech/glm_server.py --port 8125 --answer "…"`, then
the settings that it prints.
"""

import argparse
import json
import re
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

KEY = "0123456789abcdef.TestSecret"
PATH = "/api/paas/v4/chat/completions"
ANSWERS = {
    "zh": "你好，很高兴认识你。今天的天气晴朗，气温二十五度。我们出去散步吧！",
    "en": "Hello, it is good to meet you. The sky is clear today, and it is warm outside. Shall we go for a walk?",
}
MODES = (
    "good", "thinking", "tagged", "marked", "long", "endless", "empty", "only_thoughts", "slow", "silent_beginning", "stalled",
    "pinging", "401", "429_rate", "429_balance", "429_once", "400", "404_html", "500", "500_once", "drop", "cut", "cut_cleanly",
    "moderated", "moderated_in_the_middle", "error_in_the_middle", "network_error", "garbage", "garbage_in_the_middle",
    "odd_shapes", "echo_key",
)  # fmt: skip
REFUSALS: dict[str, tuple[int, str, str]] = {
    "400": (400, "1211", "模型不存在，请检查模型代码"),
    "401": (401, "1002", "Authentication Token非法"),
    "429_rate": (429, "1302", "您当前使用该API的并发数过高，请降低并发"),
    "429_once": (429, "1302", "您当前使用该API的并发数过高，请降低并发"),
    "429_balance": (429, "1113", "您的账户已欠费，请充值后重试。"),
    "500": (500, "500", "internal error"),
    "500_once": (500, "500", "internal error"),
    "moderated": (400, "1301", "系统检测到输入或生成内容可能包含不安全或敏感内容"),
}


class GlmServer(ThreadingHTTPServer):
    """Serves on a port of its own; `asked` holds the requests' bodies, `headers` their headers."""

    daemon_threads = True

    def __init__(
        self, mode: str = "good", answer: str | None = None, port: int = 0, pace: float = 0.0, host: str = "127.0.0.1"
    ) -> None:
        super().__init__((host, port), _Handler)
        self.mode, self.answer, self.pace = mode, answer, pace
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.hung_up = Event()
        """Set when a client went away before its answer was whole."""
        self.over = Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/api/paas/v4"

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.hung_up.set()


@contextmanager
def serving(mode: str = "good", answer: str | None = None, pace: float = 0.0) -> Iterator[GlmServer]:
    """A server in a thread."""
    with GlmServer(mode, answer, pace=pace) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: GlmServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server, mode = self.server, self.server.mode
        server.asked.append(body)
        server.headers.append(dict(self.headers))
        if self.path != PATH or self.headers["Authorization"] != f"Bearer {KEY}":
            self._refuse(*REFUSALS["401"])
        elif mode in REFUSALS and not (mode.endswith("_once") and len(server.asked) > 1):
            self._refuse(*REFUSALS[mode])
        elif mode == "echo_key":
            self._refuse(400, "1214", f"bad header Authorization: {self.headers['Authorization']}")
        elif mode == "404_html":
            self._send(404, "text/html", b"<html><body>nothing here</body></html>")
        elif mode == "drop":
            self._reset()
        elif mode == "silent_beginning":
            server.over.wait(30)
        else:
            self._stream(body)

    def _stream(self, body: dict[str, Any]) -> None:
        mode = self.server.mode
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        if mode == "cut_cleanly":
            self.send_header("Connection", "close")
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        events = self._events(body)
        for event in events:
            self._write(event if isinstance(event, str) else f"data: {json.dumps(event, ensure_ascii=False)}\n\n")
            time.sleep(self.server.pace)
        if mode == "cut":
            return self._reset()
        if mode != "cut_cleanly":
            self.wfile.write(b"0\r\n\r\n")
        return None

    def _events(self, body: dict[str, Any]) -> Iterator[Any]:
        """What is streamed: chunks, or strings as they are."""
        mode, answer = self.server.mode, self._answer(body)
        if mode in ("slow", "pinging"):
            while not self.server.over.wait(0.05):
                if mode == "pinging":
                    yield ": still here\n\n"
            return
        if mode == "garbage":
            yield "data: {oops\n\n"
        if mode == "odd_shapes":
            yield from (
                [],
                42,
                {"choices": "x"},
                {"choices": []},
                {"choices": [{"delta": None}]},
                {"choices": [{"delta": {"content": ["?"]}}]},
            )
        yield _chunk(role="assistant", content="")
        if mode in ("thinking", "only_thoughts"):
            for thought in ("The person greets me. ", "I greet them back."):
                yield _chunk(reasoning_content=thought)
        pieces = re.findall(r"[\s\S]{1,3}", answer)
        half = len(pieces) // 2
        for number, piece in enumerate(pieces):
            if number == half:
                yield from self._middle()
                if mode.startswith("cut") or mode in ("moderated_in_the_middle", "error_in_the_middle", "network_error"):
                    return
            yield _chunk(content=piece)
        yield _chunk("length" if mode in ("long", "endless") else "stop", content="")
        yield "data: [DONE]\n\n"

    def _middle(self) -> Iterator[Any]:
        mode = self.server.mode
        if mode == "stalled":
            self.server.over.wait(30)
        if mode == "garbage_in_the_middle":
            yield "data: <html>\n\n"
        if mode == "moderated_in_the_middle":
            yield _chunk("sensitive", content="")
        if mode == "network_error":
            yield _chunk("network_error", content="")
        if mode == "error_in_the_middle":
            yield {"error": {"code": "1234", "message": "网络错误"}}

    def _answer(self, body: dict[str, Any]) -> str:
        mode, question = self.server.mode, body["messages"][-1]["content"]
        text = self.server.answer or ANSWERS["zh" if re.search(r"[\u4e00-\u9fff]", question) else "en"]
        return {
            "empty": "",
            "only_thoughts": "",
            "tagged": f"<think>Say hello. No more.</think>\n\n{text}",
            "marked": "**Yes.** It is *very* easy:\n\n1. [Open](http://a.example/b) the `door`.\n- Go in. 😀\n",
            "endless": text * 100,
            "long": f"{text} And then we could also go on to the",
        }.get(mode, text)

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False).encode()
        self._send(status, "application/json", body)

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        """Ends the connection as a crashed server does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _write(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(data if self.server.mode == "cut_cleanly" else f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def log_message(self, format: str, *values: Any) -> None:
        return


def _chunk(finish: str | None = None, **delta: str) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "delta": delta}
    if finish:
        choice["finish_reason"] = finish
    return {"id": "1", "created": 1, "model": "glm-4-flashx", "choices": [choice]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8125)
    parser.add_argument("--mode", choices=MODES, default="good")
    parser.add_argument("--answer")
    parser.add_argument("--pace", type=float, default=0.03, help="seconds between two pieces")
    chosen = parser.parse_args()
    with GlmServer(chosen.mode, chosen.answer, chosen.port, chosen.pace, chosen.host) as server:
        sys.stdout.write(f"ZHIPU_BASE_URL={server.base_url} ZHIPU_API_KEY={KEY}\n")
        sys.stdout.flush()
        server.serve_forever()
