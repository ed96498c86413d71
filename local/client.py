"""The platform's REST API, as the demo uses it."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from local.errors import LocalError

POLL_SECONDS = 0.5
Json = dict[str, Any]


class ApiError(LocalError):
    """The API refused."""


class Client:
    """A thin REST client; every refusal becomes an ApiError with the API's own sentence."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60)

    def upload(self, file: Path) -> str:
        """Uploads by presigned link, as a browser does, and returns the asset's id."""
        body = {"filename": file.name, "size": file.stat().st_size, "sha256": _sha256(file)}
        asset = self.post("/v1/assets", body)
        link = asset["upload"]
        with file.open("rb") as stream:
            answer = httpx.put(
                link["url"], content=stream, headers={**link["headers"], "Content-Length": str(body["size"])}, timeout=600
            )
        if answer.status_code >= 300:
            raise ApiError(f"the upload of {file.name} was refused: {answer.status_code} {answer.text[:200]}")
        self.post(f"/v1/assets/{asset['id']}/complete", {})
        return str(asset["id"])

    def post(self, path: str, body: Json) -> Json:
        return self._ask("POST", path, json=body)

    def get(self, path: str) -> Json:
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, **content: Any) -> Json:
        try:
            return _checked(self._http.request(method, path, **content))
        except httpx.TransportError as error:
            raise ApiError(f"the platform at {self._http.base_url} does not answer: {error}") from error

    def follow(self, request: str, seen: Callable[[Json], None]) -> Json:
        """Shows `seen` the request until it is final, and returns it."""
        while True:
            row = self.get(f"/v1/requests/{request}")
            seen(row)
            if row["state"] in ("succeeded", "failed", "cancelled"):
                return row
            time.sleep(POLL_SECONDS)

    def download(self, url: str, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with httpx.stream("GET", url, timeout=600) as answer:
            answer.raise_for_status()
            with file.open("wb") as stream:
                for chunk in answer.iter_bytes():
                    stream.write(chunk)


def _checked(answer: httpx.Response) -> Json:
    body: Json = answer.json() if answer.content else {}
    if answer.status_code >= 400:
        raise ApiError(f"{body.get('detail') or body.get('title') or answer.text} [{body.get('code', answer.status_code)}]")
    return body


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
