"""An asset in one multipart POST: the form's file goes to S3 as it comes in, a part of it in memory at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from hashlib import sha256
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from api.errors import AssetTooLargeError, BodyInvalidError, FieldInvalidError, FieldUnknownError

HEAD = 1 << 16
"""How much of the file's beginning is kept, to tell its container."""
FIELD_LIMIT = 1 << 10
FIELDS = ("file", "sha256")


@dataclass
class _Part:
    name: str
    filename: str | None
    value: bytearray = field(default_factory=bytearray)


class Form:
    """The form as a stream of its file's bytes. `chunk` gives the body's next bytes, b"" at its end.

    `open` reads to the file's beginning; `read` gives its bytes; `finish` reads the rest of the form. They raise
    BodyInvalidError, FieldInvalidError, FieldUnknownError and AssetTooLargeError.
    """

    def __init__(self, content_type: str, chunk: Callable[[], bytes], limit: int) -> None:
        self.filename = ""
        self.size = 0
        self.head = b""
        self.fields: dict[str, str] = {}
        self._hash = sha256()
        self._limit = limit
        self._chunk = chunk
        self._parser = MultipartParser(_boundary(content_type), self._callbacks())
        self._ready = bytearray()
        self._part: _Part | None = None
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._headers: dict[str, str] = {}
        self._begun = self._ended = self._done = False

    @property
    def sha256(self) -> str:
        """Of what was read so far."""
        return self._hash.hexdigest()

    def open(self) -> None:
        """Reads to the beginning of the file."""
        while not self._begun:
            self._more()

    def read(self, size: int = -1, /) -> bytes:
        """The file's next bytes, as many as `size` unless it ends; b"" at its end."""
        while not self._ended and (size < 0 or len(self._ready) < size):
            self._more()
        taken = bytes(self._ready if size < 0 else self._ready[:size])
        del self._ready[: len(taken)]
        return taken

    def finish(self) -> None:
        """Reads what comes after the file."""
        while not self._done:
            self._more()

    def _more(self) -> None:
        data = self._chunk()
        if not data:
            raise BodyInvalidError("the form ends before its last boundary" if self._begun else "the form has no field `file`")
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BodyInvalidError(f"the form is not well formed: {error}") from error
        if self._done and not self._begun:
            raise FieldInvalidError("file: the form has no field `file` with a file name")

    def _callbacks(self) -> Any:
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        self._headers = {}

    def _on_header_end(self) -> None:
        name, value = (bytes(half).decode("utf-8", "replace") for half in self._header)
        self._headers[name.lower()] = value
        self._header = (bytearray(), bytearray())

    def _on_headers_finished(self) -> None:
        name, filename = _disposition(self._headers.get("content-disposition", ""))
        if name not in FIELDS:
            raise FieldUnknownError(f"the form has no field {name!r}; it has `file` and `sha256`")
        if name in self.fields or (name == "file" and self._begun):
            raise FieldInvalidError(f"{name}: given twice")
        if name == "file":
            if not filename:
                raise FieldInvalidError("file: a file name is missing")
            self.filename, self._begun = filename, True
        self._part = _Part(name, filename)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        assert self._part is not None  # noqa: S101 - the parser's order
        piece = data[start:end]
        if self._part.name != "file":
            self._part.value.extend(piece)
            if len(self._part.value) > FIELD_LIMIT:
                raise FieldInvalidError(f"{self._part.name}: too long")
            return
        self.size += len(piece)
        if self.size > self._limit:
            raise AssetTooLargeError(f"an asset has at most {self._limit} bytes")
        self._hash.update(piece)
        self.head += piece[: max(0, HEAD - len(self.head))]
        self._ready.extend(piece)

    def _on_part_end(self) -> None:
        assert self._part is not None  # noqa: S101 - the parser's order
        if self._part.name == "file":
            self._ended = True
        else:
            self.fields[self._part.name] = self._part.value.decode("utf-8", "replace")

    def _on_end(self) -> None:
        self._done = True


def _boundary(content_type: str) -> str:
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= 70 or not boundary.isascii():
        raise BodyInvalidError("the form's Content-Type names no usable boundary")
    return boundary


def _disposition(value: str) -> tuple[str | None, str | None]:
    """`name` and `filename` of a part, as browsers and curl write them: percent-encoded quotes, raw UTF-8."""
    message = Message()
    message["Content-Disposition"] = value.encode("utf-8", "replace").decode("utf-8")
    found = dict(message.get_params([], "content-disposition"))
    name, filename = found.get("name"), found.get("filename")
    plain = filename.replace("%22", '"') if isinstance(filename, str) else None
    return (name if isinstance(name, str) else None), plain
