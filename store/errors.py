"""What can be wrong with a write: each class has a stable `code`; its docstring is the message unless one is given."""


class StoreError(Exception):
    """The store refused."""

    code = "store_error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)
        self.message: str = message or self.__doc__ or ""


class NotFoundError(StoreError):
    """There is no such thing."""

    code = "not_found"


class RequestNotFoundError(NotFoundError):
    """There is no such request."""

    code = "request_not_found"


class AttemptNotFoundError(NotFoundError):
    """There is no such attempt."""

    code = "attempt_not_found"


class AssetNotFoundError(NotFoundError):
    """There is no such asset."""

    code = "asset_not_found"


class AvatarNotFoundError(NotFoundError):
    """There is no avatar of that name."""

    code = "avatar_not_found"


class VersionNotFoundError(NotFoundError):
    """The avatar has no such version."""

    code = "version_not_found"


class VoiceNotFoundError(NotFoundError):
    """There is no voice of that name."""

    code = "voice_not_found"


class ConversationNotFoundError(NotFoundError):
    """There is no such conversation."""

    code = "conversation_not_found"


class AssetNotUploadedError(StoreError):
    """The asset's upload is not complete yet."""

    code = "asset_not_uploaded"


class AvatarNotReadyError(StoreError):
    """The avatar has no trained version yet."""

    code = "avatar_not_ready"


class VoiceExistsError(StoreError):
    """There is a voice of that name already: delete it first, or take another name."""

    code = "voice_exists"


class ConversationBusyError(StoreError):
    """A dialogue of this conversation is still under way: its answer belongs to what the next one is told."""

    code = "conversation_busy"


class InUseError(StoreError):
    """A request that is not final yet uses it."""

    code = "in_use"


class AssetInUseError(InUseError):
    """A request that is not final yet reads this asset."""

    code = "asset_in_use"


class AvatarInUseError(InUseError):
    """A request that is not final yet uses this avatar, its results or its datasets."""

    code = "avatar_in_use"


class VoiceInUseError(InUseError):
    """A request that is not final yet speaks with this voice, or enrols it."""

    code = "voice_in_use"


class AttemptOwnedError(StoreError):
    """Another run owns this attempt."""

    code = "attempt_owned"


class AttemptFinalError(StoreError):
    """This attempt is over."""

    code = "attempt_final"


class AttemptStaleError(StoreError):
    """A later attempt has taken this one's place."""

    code = "attempt_stale"


class ObjectMissingError(StoreError):
    """An object that should be there is missing or has another size."""

    code = "object_missing"


class SchemaNewerError(StoreError):
    """The database was made by a newer version of this program."""

    code = "schema_newer"


class ObjectNotRemovedError(StoreError):
    """The object store did not remove an object."""

    code = "object_not_removed"


class WeightsError(StoreError):
    """A pretrained file is not the one that its record tells of."""

    code = "weights_damaged"
