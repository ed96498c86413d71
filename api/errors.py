"""What the API refuses, and how: each class has an HTTP status and a stable `code`; its docstring is the message.

Answers are RFC 9457 `application/problem+json`; `markdown()` is the README's table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from store import errors as store_errors


class ApiError(Exception):
    """The request was refused."""

    status = 400
    code = "refused"

    def __init__(self, detail: str | None = None, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail or self.__doc__)
        self.detail: str = detail or self.__doc__ or ""
        self.headers = headers or {}
        self.more = more


class BodyInvalidError(ApiError):
    """The body cannot be read: it is no JSON, or no well-formed multipart form."""

    status, code = 400, "body_invalid"


class TokenInvalidError(ApiError):
    """The attempt token is missing, wrong, or for another attempt."""

    status, code = 401, "token_invalid"

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer"})


class OwnerMissingError(ApiError):
    """The proxy before this API did not say who is asking."""

    status, code = 401, "owner_missing"


class RouteNotFoundError(ApiError):
    """There is nothing at this address."""

    status, code = 404, "route_not_found"


class OutputNotFoundError(ApiError):
    """The request has no output of that name."""

    status, code = 404, "output_not_found"


class MethodNotAllowedError(ApiError):
    """This address does not know that method."""

    status, code = 405, "method_not_allowed"


class RequestNotReadyError(ApiError):
    """The request that is referred to has not succeeded, so it has no outputs."""

    status, code = 409, "request_not_ready"


class AssetChangedError(ApiError):
    """The asset's object is not the one that was checked: upload it again as a new asset."""

    status, code = 409, "asset_changed"


class VoiceNotReadyError(ApiError):
    """The voice's recording is not examined yet, or was found unfit: see the voice's `state` and `error`."""

    status, code = 409, "voice_not_ready"


class VoiceCloningUnavailableError(ApiError):
    """No engine that speaks with a person's voice is set up here."""

    status, code = 409, "voice_cloning_unavailable"


class ReplyKeyMissingError(ApiError):
    """No language model is set up that could answer: set ZHIPU_API_KEY where the platform runs."""

    status, code = 409, "reply_key_missing"


class WeightsMissingError(ApiError):
    """Pretrained files that this needs are not there: `make weights` brings them."""

    status, code = 409, "weights_missing"


class IdempotencyInFlightError(ApiError):
    """A request with this Idempotency-Key is being answered right now."""

    status, code = 409, "idempotency_in_flight"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class BodyTooLargeError(ApiError):
    """The body is larger than a JSON body may be."""

    status, code = 413, "body_too_large"


class AssetTooLargeError(ApiError):
    """The file is larger than an asset may be."""

    status, code = 413, "asset_too_large"


class FieldInvalidError(ApiError):
    """A field, parameter or header is missing or has a value that is not allowed."""

    status, code = 422, "field_invalid"


class FieldUnknownError(ApiError):
    """There is no field of that name."""

    status, code = 422, "field_unknown"


class NameInvalidError(ApiError):
    """A name has 1 to 63 of a-z, 0-9 and hyphens, and neither begins nor ends with a hyphen."""

    status, code = 422, "name_invalid"


class ConsentRequiredError(ApiError):
    """A face or a voice is only taken with the person's consent: {"statement": what they agreed to, "by": who says so}."""

    status, code = 422, "consent_required"


class EpochsInvalidError(ApiError):
    """`epochs` is a whole number from 1 to 100000."""

    status, code = 422, "epochs_invalid"


class GpuUnknownError(ApiError):
    """There is no GPU class of that name in `GENEFACE_GPU_CLASSES`."""

    status, code = 422, "gpu_unknown"


class TextEmptyError(ApiError):
    """The text holds nothing but spaces and control characters."""

    status, code = 422, "text_empty"


class TextTooLongError(ApiError):
    """A text has at most 20000 characters, a question 4000: cut it into several requests."""

    status, code = 422, "text_too_long"


class LanguageUnsupportedError(ApiError):
    """The languages are `zh` and `en`; without one, it is found in the text or the recording."""

    status, code = 422, "language_unsupported"


class VoiceUnknownError(ApiError):
    """There is no voice of that name: neither is it a built-in one (such as `af_heart`) nor one of yours."""

    status, code = 422, "voice_unknown"


class CursorInvalidError(ApiError):
    """The cursor is not one that this list gave."""

    status, code = 422, "cursor_invalid"


class FileEmptyError(ApiError):
    """The file is empty."""

    status, code = 422, "file_empty"


class UnsupportedMediaError(ApiError):
    """The file is no video or sound that is understood: mp4/mov, matroska/webm, avi, mpeg-ts, wav, mp3, flac or ogg."""

    status, code = 422, "unsupported_media"


class SizeMismatchError(ApiError):
    """The uploaded object has another size than was announced; it was removed."""

    status, code = 422, "size_mismatch"


class Sha256MismatchError(ApiError):
    """The uploaded object has another sha256 than was announced; it was removed."""

    status, code = 422, "sha256_mismatch"


class IdempotencyKeyReusedError(ApiError):
    """This Idempotency-Key was used with another body within the last 24 hours."""

    status, code = 422, "idempotency_key_reused"


class InternalError(ApiError):
    """Something went wrong on our side; the log has more under this id."""

    status, code = 500, "internal_error"


class UnavailableError(ApiError):
    """Something that the API needs is away."""

    status, code = 503, "unavailable"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": "5"})


class DatabaseUnavailableError(UnavailableError):
    """The database does not answer; try again."""

    code = "database_unavailable"


class StorageUnavailableError(UnavailableError):
    """The object store does not answer; try again."""

    code = "storage_unavailable"


class SchemaOutdatedError(UnavailableError):
    """The database's schema is not this version's: run `python -m store.migrate`."""

    code = "schema_outdated"


STORE: dict[type[store_errors.StoreError], int] = {
    store_errors.RequestNotFoundError: 404,
    store_errors.AttemptNotFoundError: 404,
    store_errors.AssetNotFoundError: 404,
    store_errors.AvatarNotFoundError: 404,
    store_errors.VersionNotFoundError: 404,
    store_errors.VoiceNotFoundError: 404,
    store_errors.ConversationNotFoundError: 404,
    store_errors.AssetNotUploadedError: 409,
    store_errors.AvatarNotReadyError: 409,
    store_errors.AssetInUseError: 409,
    store_errors.AvatarInUseError: 409,
    store_errors.VoiceInUseError: 409,
    store_errors.VoiceExistsError: 409,
    store_errors.ConversationBusyError: 409,
    store_errors.AttemptOwnedError: 409,
    store_errors.AttemptFinalError: 409,
    store_errors.AttemptStaleError: 409,
    store_errors.ObjectMissingError: 422,
}
"""What the store refuses, by the status that people see."""

Refusal = type[ApiError] | type[store_errors.StoreError]


@dataclass(frozen=True)
class Entry:
    """One line of the table of codes."""

    status: int
    code: str
    title: str


def entry(refusal: Refusal) -> Entry:
    """Status, code and sentence of a class."""
    status = refusal.status if issubclass(refusal, ApiError) else STORE[refusal]
    return Entry(status, refusal.code, (refusal.__doc__ or "").strip())


def entries() -> list[Entry]:
    """All codes, by status and name."""
    refusals: list[Refusal] = [*_leaves(ApiError), *STORE]
    return sorted(map(entry, refusals), key=lambda one: (one.status, one.code))


def markdown() -> str:
    """The table of codes."""
    rows = [f"| {one.status} | `{one.code}` | {one.title} |" for one in entries()]
    return "\n".join(["| status | code | means |", "| --- | --- | --- |", *rows])


def _leaves(parent: type[ApiError]) -> Iterator[type[ApiError]]:
    for child in parent.__subclasses__():
        yield from _leaves(child) if child.__subclasses__() else iter([child])
