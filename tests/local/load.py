"""People who go on asking while something is away, and what they were answered."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from running import Up

PAUSE = 0.2


@dataclass(frozen=True)
class Answer:
    """One answer; `code` of its problem document, empty when it is none."""

    at: float
    what: str
    status: int
    code: str
    seconds: float


class Load:
    """Within the block: one who reads, one who uploads, one who asks for a rendering until it is accepted, then the next."""

    def __init__(self, up: Up, avatar: str) -> None:
        self._up = up
        self._avatar = avatar
        self._audio = up.asset(os.urandom(2000), "a.wav")
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._again, args=(one,)) for one in (self._read, self._upload, self._render)]
        self.answers: list[Answer] = []
        self.accepted: dict[str, set[str]] = {}
        """Ids of requests by Idempotency-Key: one each, however often it was asked for."""
        self.uploaded: list[str] = []
        self.broken: list[Exception] = []

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def refused(self) -> set[tuple[int, str]]:
        """Status and code of all that was not answered as in good times."""
        return {(answer.status, answer.code) for answer in self.answers if answer.status >= 300}

    def summary(self) -> str:
        counts: dict[tuple[str, int, str], int] = {}
        for one in self.answers:
            counts[one.what, one.status, one.code] = counts.get((one.what, one.status, one.code), 0) + 1
        slowest = max(one.seconds for one in self.answers)
        return f"{counts}, slowest {slowest:.1f} s, {len(self.accepted)} accepted, {len(self.uploaded)} uploaded"

    def _again(self, ask: Callable[[], None]) -> None:
        while not self._over.wait(PAUSE):
            try:
                ask()
            except Exception as error:  # the test looks at it
                self.broken.append(error)

    def _ask(self, method: str, path: str, **content: object) -> httpx.Response:
        began = time.monotonic()
        answer = httpx.request(method, self._up.url + path, timeout=60, **content)
        problem = "problem" in answer.headers.get("Content-Type", "")
        code = answer.json()["code"] if problem else ""
        self.answers.append(Answer(began, f"{method} {path}", answer.status_code, code, time.monotonic() - began))
        return answer

    def _read(self) -> None:
        for path in ("/v1/requests", "/v1/avatars/" + self._avatar, "/v1/assets", "/readyz"):
            self._ask("GET", path)

    def _upload(self) -> None:
        answer = self._ask("POST", "/v1/assets", files={"file": ("a.wav", b"RIFF\0\0\0\0WAVEfmt " + os.urandom(100_000))})
        if answer.status_code == 201:
            self.uploaded.append(answer.json()["id"])

    def _render(self) -> None:
        key = f"key-{len(self.accepted)}"
        body = {"avatar": self._avatar, "audio": {"asset": self._audio}}
        answer = self._ask("POST", "/v1/renderings", json=body, headers={"Idempotency-Key": key})
        if answer.status_code == 202:
            self.accepted.setdefault(key, set()).add(answer.json()["id"])
            self._over.wait(3)
