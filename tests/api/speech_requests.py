"""What the tests of speech do again and again: ask, and succeed as a worker would."""

from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import select

from store.models import Request

CONSENT = {"statement": "I agree that my voice is imitated.", "by": "Ada"}
WAV = b"RIFF\0\0\0\0WAVEfmt " + bytes(200)


def row(running: Any, request: str) -> Request:
    with running.database.begin() as session:
        return session.scalar(select(Request).where(Request.id == request))


def names(running: Any, request: str) -> list[str]:
    return [item["name"] for item in row(running, request).spec["inputs"]]


def recording(platform: Any) -> dict[str, str]:
    return {"asset": platform.asset(WAV + uuid4().bytes, "me.wav")}


def succeed(platform: Any, request: str, step: str, outputs: dict[str, str], **more: Any) -> None:
    worker = platform.worker(request)
    assert worker.post("claim", step=step).status_code == 200
    files = worker.put(*outputs.values())
    answer = worker.post("publish", step=step, what="result", files=files, result={"outputs": outputs, **more})
    assert answer.json() == {"accepted": True}, answer.text


def enrolled(platform: Any, name: str) -> str:
    """A ready voice; its enrolment."""
    request = platform.post("/v1/voices", {"name": name, "recording": recording(platform), "consent": CONSENT})["id"]
    succeed(platform, request, "enrol", {"reference": "reference.wav", "voice": "voice.json"}, voice={"seconds": 9.5})
    return str(request)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]
