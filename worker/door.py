"""The workers' door of the API. Every call waits for an API that is away."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel, ValidationError

from worker.errors import REFUSALS, RefusedError
from worker.patience import Patience, is_away, retry_after
from worker.protocol import Accepted, Checkpoint, Claim, DatasetKey, File, Links, Reply

Answer = TypeVar("Answer", bound=BaseModel)

READ_TIMEOUT = 30.0
"""Seconds without a byte of an answer until it is asked for again; every call may be repeated."""


def open_client() -> httpx.Client:
    """A client for the API and the object store; a proxy of the environment is never asked for this very machine."""
    direct: dict[str, httpx.BaseTransport | None] = {"all://localhost": None, "all://127.0.0.1": None}
    return httpx.Client(
        timeout=httpx.Timeout(READ_TIMEOUT, connect=10.0),
        limits=httpx.Limits(max_connections=None),
        headers={"Accept-Encoding": "identity", "User-Agent": "geneface-worker"},
        mounts=direct,
    )


class Door:
    """One run of one attempt at the door. Calls raise RefusedError (or a kind of it) on 4xx, AwayError after the deadline."""

    def __init__(self, client: httpx.Client, api_url: str, attempt: UUID, token: str, run: str, step: str) -> None:
        self._client = client
        self._address = f"{api_url.rstrip('/')}/v1/attempts/{attempt}/"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._run = run
        self._step = step

    def claim(self, patience: Patience, dataset: DatasetKey | None = None) -> Claim:
        """Makes this run the attempt's owner, or finds that it already is."""
        body: dict[str, Any] = {"step": self._step}
        if dataset:
            body["dataset"] = {"version": dataset.version, "options_hash": dataset.options_hash}
        return self._post("claim", body, Claim, patience)

    def links(self, patience: Patience, get: Sequence[str] = (), put: Sequence[File] = ()) -> Links:
        """Presigned links to the inputs named `get` and for the outputs `put`."""
        body = {"get": list(get), "put": _plain(put)}
        return self._post("links", body, Links, patience)

    def report(self, patience: Patience, seq: int, news: Mapping[str, Any], lines: list[Any]) -> bool:
        """Part `seq` of this step's log, and how far it is. Returns whether the step should stop."""
        body = {"step": self._step, "seq": seq, **news, "lines": lines}
        return self._post("report", body, Reply, patience).stop

    def publish_dataset(self, patience: Patience, key: DatasetKey, video_sha256: str, files: Iterable[File]) -> bool:
        """Makes a preprocessed dataset findable. Returns False when another was first."""
        dataset = {**key.model_dump(), "video_sha256": video_sha256}
        body = {"step": self._step, "what": "dataset", "dataset": dataset, "files": _plain(files)}
        return self._post("publish", body, Accepted, patience).accepted

    def publish_checkpoint(self, patience: Patience, checkpoint: Checkpoint) -> None:
        """Makes an uploaded checkpoint the one to resume from."""
        named = {"name": checkpoint.name, "step": checkpoint.step}
        body = {"step": self._step, "what": "checkpoint", "checkpoint": named, "files": _plain(checkpoint.files)}
        self._post("publish", body, Accepted, patience)

    def publish_result(self, patience: Patience, result: Mapping[str, Any], files: Iterable[File]) -> None:
        """Ends the request well."""
        body = {"step": self._step, "what": "result", "result": dict(result), "files": _plain(files)}
        self._post("publish", body, Accepted, patience)

    def _post(self, call: str, body: Mapping[str, Any], kind: type[Answer], patience: Patience) -> Answer:
        content = json.dumps({"run": self._run, **body}, ensure_ascii=False, allow_nan=False).encode(errors="replace")
        outage = patience.outage()
        while True:
            try:
                response = self._client.post(self._address + call, content=content, headers=self._headers)
            except httpx.TransportError as error:
                outage.pause(f"{call}: {type(error).__name__} {error}")
                continue
            if is_away(response):
                outage.pause(f"{call}: {response.status_code}", retry_after(response))
                continue
            if not response.is_success:
                raise _refusal(response)
            try:
                return kind.model_validate_json(response.content)
            except ValidationError as error:
                # A proxy's page in the API's place, or an API of another version in the middle of an upgrade.
                outage.pause(f"{call}: {error.error_count()} errors in the answer, first {error.errors()[0]['msg']}")


def _plain(files: Iterable[File]) -> list[dict[str, Any]]:
    return [file.model_dump() for file in files]


def _refusal(response: httpx.Response) -> RefusedError:
    """The problem document (RFC 9457) of a 4xx as an exception; a 404 page of a proxy has none."""
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    code = str(problem.get("code") or "refused")
    message = str(problem.get("detail") or problem.get("title") or response.reason_phrase)
    return REFUSALS.get(code, RefusedError)(response.status_code, code, message)
