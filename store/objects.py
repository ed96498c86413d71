"""Objects in S3. One bucket:

assets/<id>/<file>                    what a person uploaded
requests/<id>/<attempt>/<file>        what one attempt made; log parts under log/
weights/<name>
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit
from uuid import UUID

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from store.errors import ObjectNotRemovedError

LINK_LIFE = timedelta(hours=1)
CHUNK = 1 << 20


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

    def put_stream(self, key: str, stream: BinaryIO, size: int = -1) -> None:
        """Stores `size` bytes of `stream`; -1: to its end, in parts."""
        self._inner.put_object(self.bucket, key, stream, size, part_size=16 * CHUNK if size < 0 else 0)

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

    def names(self, prefix: str) -> list[str]:
        """Keys under `prefix`, sorted."""
        return sorted(item.object_name or "" for item in self._inner.list_objects(self.bucket, prefix, recursive=True))

    def remove(self, prefix: str) -> int:
        """Deletes all under `prefix` (or the one object of that name) and says how many there were."""
        found = self.names(prefix)
        for error in self._inner.remove_objects(self.bucket, [DeleteObject(name) for name in found]):
            raise ObjectNotRemovedError(f"{error.name} was not removed: {error.code} {error.message}")
        return len(found)

    def get_link(self, key: str, public: bool = False, filename: str | None = None) -> str:
        """A link to read the object for an hour; with `filename`, browsers save it under that name."""
        client = self._public if public else self._inner
        headers = {"response-content-disposition": f'attachment; filename="{filename}"'} if filename else None
        return str(client.presigned_get_object(self.bucket, key, LINK_LIFE, response_headers=headers))

    def put_link(self, key: str, public: bool = False) -> str:
        """A link to write the object within an hour."""
        client = self._public if public else self._inner
        return str(client.presigned_put_object(self.bucket, key, LINK_LIFE))


def _client(settings: ObjectSettings, endpoint: str) -> Minio:
    url = urlsplit(endpoint)
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=5, read=60),
        retries=urllib3.Retry(total=2, backoff_factor=0.2, status_forcelist=[502, 503, 504]),
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
