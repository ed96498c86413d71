"""Objects in S3. One bucket:

assets/<id>/<file>                    what a person uploaded
requests/<id>/<attempt>/<file>        what one attempt made; log parts under log/
weights/<name>
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Protocol
from urllib.parse import quote, urlsplit
from uuid import UUID

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from store.errors import ObjectNotRemovedError

LINK_LIFE = timedelta(hours=1)
CHUNK = 1 << 20
LOG_FOLDER = "log/"
LOG_LAST = 99
"""Place of what the controller adds to the log when a pod died without last words."""


class ObjectSettings(Protocol):
    """Where the S3 server is, by its two names."""

    s3_endpoint: str
    s3_public_endpoint: str | None
    s3_region: str
    s3_access_key: str
    s3_secret_key: str
    s3_bucket: str


@dataclass(frozen=True)
class Stat:
    """What S3 knows about an object."""

    size: int
    etag: str


def asset_key(asset: UUID, filename: str = "file") -> str:
    return f"assets/{asset}/{filename}"


def attempt_prefix(request: UUID, attempt: int) -> str:
    return f"requests/{request}/{attempt}/"


def log_key(request: UUID, attempt: int, place: int, step: str, seq: int) -> str:
    """Where a batch of log lines lies: parts sort by the step's place in the Job, then by `seq`, as they were written."""
    return f"{attempt_prefix(request, attempt)}{LOG_FOLDER}{place:02d}-{step}-{seq:08d}.ndjson"


def disposition(filename: str) -> str:
    """Content-Disposition that makes a browser save under `filename`, whatever its letters (RFC 6266, RFC 8187)."""
    plain = "".join(letter if letter.isascii() and letter.isprintable() and letter not in '"\\%' else "_" for letter in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


class Readable(Protocol):
    """What can be stored as it comes."""

    def read(self, size: int = -1, /) -> bytes:
        """As many bytes as `size`, fewer only at the end; -1: all."""
        ...


class Objects:
    """One bucket. Links that people's browsers follow are signed for the public name of the same server."""

    def __init__(self, settings: ObjectSettings) -> None:
        self.bucket = settings.s3_bucket
        self._inner = _client(settings, settings.s3_endpoint)
        self._public = _client(settings, settings.s3_public_endpoint or settings.s3_endpoint)

    def ensure_bucket(self) -> None:
        """Makes the bucket where it is missing."""
        if not self._inner.bucket_exists(self.bucket):
            try:
                self._inner.make_bucket(self.bucket)
            except S3Error as error:
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise

    def ready(self) -> bool:
        """Whether the server answers and has the bucket."""
        return bool(self._inner.bucket_exists(self.bucket))

    def stat(self, key: str) -> Stat | None:
        """None when there is no such object."""
        try:
            found = self._inner.stat_object(self.bucket, key)
        except S3Error as error:
            if error.code in ("NoSuchKey", "NoSuchObject", "NotFound"):
                return None
            raise
        return Stat(found.size or 0, found.etag or "")

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        self._inner.put_object(self.bucket, key, io.BytesIO(data), len(data), content_type)

    def put_stream(self, key: str, stream: Readable, size: int = -1) -> None:
        """Stores `size` bytes of `stream`; -1: to its end, in parts."""
        part_size = 16 * CHUNK if size < 0 else 0
        self._inner.put_object(self.bucket, key, stream, size, part_size=part_size, num_parallel_uploads=1)

    def get(self, key: str) -> bytes:
        return b"".join(self.read(key))

    def read(self, key: str) -> Iterable[bytes]:
        """The object's bytes, a chunk at a time."""
        response = self._inner.get_object(self.bucket, key)
        try:
            yield from response.stream(CHUNK)
        finally:
            response.close()
            response.release_conn()

    def digest(self, key: str) -> tuple[str, bytes]:
        """Reads the object once: its sha256 (hex) and its first 64 KiB."""
        hasher, head = sha256(), b""
        for chunk in self.read(key):
            hasher.update(chunk)
            if len(head) < 1 << 16:
                head = (head + chunk)[: 1 << 16]
        return hasher.hexdigest(), head

    def names(self, prefix: str, after: str | None = None) -> list[str]:
        """Keys under `prefix`, sorted; those that sort after `after`."""
        found = self._inner.list_objects(self.bucket, prefix, recursive=True, start_after=after)
        return sorted(item.object_name or "" for item in found)

    def remove(self, prefix: str, keep: Sequence[str] = ()) -> int:
        """Deletes all under `prefix` (or the one object of that name) but what lies under `keep`; says how many there were."""
        found = [name for name in self.names(prefix) if not name.startswith(tuple(keep))]
        for error in self._inner.remove_objects(self.bucket, [DeleteObject(name) for name in found]):
            raise ObjectNotRemovedError(f"{error.name} was not removed: {error.code} {error.message}")
        return len(found)

    def get_link(self, key: str, public: bool = False, filename: str | None = None) -> str:
        """A link to read the object for an hour; with `filename`, browsers save it under that name."""
        client = self._public if public else self._inner
        headers = {"response-content-disposition": disposition(filename)} if filename else None
        return str(client.presigned_get_object(self.bucket, key, LINK_LIFE, response_headers=headers))

    def put_link(self, key: str, public: bool = False) -> str:
        """A link to write the object within an hour."""
        client = self._public if public else self._inner
        return str(client.presigned_put_object(self.bucket, key, LINK_LIFE))


def _client(settings: ObjectSettings, endpoint: str) -> Minio:
    url = urlsplit(endpoint)
    pool = urllib3.PoolManager(
        # A server that is away is noticed within ten seconds, so that whoever waits for an answer hears of it.
        timeout=urllib3.Timeout(connect=4, read=10),
        retries=urllib3.Retry(total=2, connect=1, read=0, backoff_factor=0.2, status_forcelist=[502, 503, 504]),
        maxsize=16,
    )
    return Minio(
        url.netloc,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        region=settings.s3_region,
        secure=url.scheme == "https",
        http_client=pool,
    )
