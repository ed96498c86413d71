"""What a person does with a running platform, over REST."""

import os
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

FINAL = ("succeeded", "failed", "cancelled")
CONSENT = {"statement": "I agree.", "by": "a test"}


class Person:
    """Asks the platform at `url` for things and waits for them."""

    url: str
    pause = 0.05
    """Seconds between two looks."""

    def story(self) -> str:
        """What the platform said lately, for a test that waited in vain."""
        return ""

    def wait(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        """Polls until `condition` gives something true, and returns that."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(self.pause)
        pytest.fail(f"waited {seconds} s in vain for {what}\n{self.story()}")

    def post(self, path: str, body: dict[str, Any], code: int = 202) -> dict[str, Any]:
        answer = httpx.post(self.url + path, json=body, timeout=30)
        assert answer.status_code == code, answer.text
        return answer.json()

    def get(self, request: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/v1/requests/{request}", timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def asset(self, content: bytes, filename: str = "me.mp4") -> str:
        """Uploads `content` behind the signature of its container."""
        head = {"mp4": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "wav": b"RIFF\0\0\0\0WAVEfmt "}[filename[-3:]]
        answer = httpx.post(f"{self.url}/v1/assets", files={"file": (filename, head + content)}, timeout=30)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def training(self, avatar: str, video: str | None = None) -> str:
        video = video or self.asset(os.urandom(2000))
        body = {"avatar": avatar, "video": {"asset": video}, "profile": "quick", "consent": CONSENT}
        return str(self.post("/v1/trainings", body)["id"])

    def rendering(self, avatar: str) -> str:
        audio = self.asset(os.urandom(2000), "a.wav")
        return str(self.post("/v1/renderings", {"avatar": avatar, "audio": {"asset": audio}})["id"])

    def final(self, request: str, seconds: float = 60) -> dict[str, Any]:
        """Waits for the request's end and returns it."""
        self.wait(lambda: self.get(request)["state"] in FINAL, seconds, f"the end of {request}: {self.get(request)}")
        return self.get(request)

    def avatar(self, name: str) -> None:
        assert self.final(self.training(name))["state"] == "succeeded"

    def cancel(self, request: str) -> None:
        assert httpx.delete(f"{self.url}/v1/requests/{request}", timeout=30).status_code in (200, 202)

    def avatar_versions(self, name: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/v1/avatars/{name}", timeout=30)
        assert answer.status_code == 200, answer.text
        versions: list[dict[str, Any]] = answer.json()["versions"]
        return versions

    def logs(self, request: str) -> str:
        return httpx.get(f"{self.url}/v1/requests/{request}/logs", timeout=30).text
