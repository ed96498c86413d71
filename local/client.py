"""The platform's REST API, as the demo uses it."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from local.errors import LocalError

POLL_SECONDS = 0.5
Json = dict[str, Any]


class ApiError(LocalError):
    """The API refused; `code` is its reason, where it gave one."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Client:
    """A thin REST client; every refusal becomes an ApiError with the API's own sentence."""

    def __init__(self, url: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        """`meanwhile` is called now and then while a request is followed."""
        self._meanwhile = meanwhile
        # A proxy that the environment names is for other machines.
        direct: dict[str, httpx.BaseTransport | None] = {"all://localhost": None, "all://127.0.0.1": None}
        self._http = httpx.Client(base_url=url, timeout=60, mounts=direct)

    def upload(self, file: Path) -> str:
        """Uploads by presigned link, as a browser does, and returns the asset's id."""
        body = {"filename": file.name, "size": file.stat().st_size, "sha256": _sha256(file)}
        asset = self.post("/v1/assets", body)
        link = asset["upload"]
        headers = {**link["headers"], "Content-Length": str(body["size"])}
        with file.open("rb") as stream, _named(f"the upload of {file.name}"):
            answer = self._http.put(link["url"], content=stream, headers=headers, timeout=600)
            answer.raise_for_status()
        self.post(f"/v1/assets/{asset['id']}/complete", {})
        return str(asset["id"])

    def post(self, path: str, body: Json) -> Json:
        return self._ask("POST", path, json=body)

    def get(self, path: str) -> Json:
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, **content: Any) -> Json:
        with _named(f"the platform at {self._http.base_url}"):
            return _checked(self._http.request(method, path, **content))

    def follow(self, request: str, seen: Callable[[Json], None]) -> Json:
        """Shows `seen` the request until it is final, and returns it."""
        while True:
            row = self.get(f"/v1/requests/{request}")
            seen(row)
            if row["state"] in ("succeeded", "failed", "cancelled"):
                return row
            self._meanwhile()
            time.sleep(POLL_SECONDS)

    def download(self, url: str, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _named(f"the download of {file.name}"), self._http.stream("GET", url, timeout=600) as answer:
            answer.raise_for_status()
            with file.open("wb") as stream:
                for chunk in answer.iter_bytes():
                    stream.write(chunk)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Makes an ApiError that names `what` of whatever HTTP may bring."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise ApiError(f"{what} was refused: {error.response.status_code} {error.response.reason_phrase}") from error
    except httpx.TransportError as error:
        raise ApiError(f"{what} failed: {type(error).__name__} {error}") from error


def _checked(answer: httpx.Response) -> Json:
    try:
        body: Json = answer.json() if answer.content else {}
    except ValueError:
        raise ApiError(f"{answer.url} is not the platform: it answered {answer.status_code} without JSON") from None
    if answer.status_code >= 400:
        said, code = body.get("detail") or body.get("title") or answer.text, body.get("code")
        raise ApiError(f"{said} [{code or answer.status_code}]", code)
    return body


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
