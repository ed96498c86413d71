"""What media references stand for: objects with size and sha256, in the form that a spec lists its inputs in."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from api.bodies import NAME, AssetReference, Reference
from api.errors import (
    AssetChangedError,
    OutputNotFoundError,
    RequestNotReadyError,
    UnsupportedMediaError,
    VoiceNotReadyError,
    VoiceUnknownError,
)
from store import assets, avatars, requests, voices
from store.errors import VoiceNotFoundError
from store.models import AssetState, AvatarVersion, Json, State
from store.objects import Objects

SOUND_ONLY = ("wav", "mp3", "flac")
MODEL = "model/"
_PERSONS = re.compile(NAME)
_ENGINES = re.compile(r"[^\W\d_][\w .'-]*")
"""What an engine that is not asked here may call a voice: `Ana Florence`, `af_heart`."""


@dataclass(frozen=True)
class Source:
    """One input of a spec, and the mark that keeps it from being deleted."""

    item: Json
    mark: str


def resolve(session: Session, owner: str, reference: Reference, name: str, moving: bool = False) -> Source:
    """The object behind `reference`, kept until the transaction ends; `moving`: pictures are needed.

    Raises AssetNotFoundError, AssetNotUploadedError, UnsupportedMediaError, RequestNotFoundError, RequestNotReadyError,
    OutputNotFoundError.
    """
    if isinstance(reference, AssetReference):
        asset = assets.ready(session, reference.asset, owner)
        if moving and asset.format in SOUND_ONLY:
            raise UnsupportedMediaError(f"asset {asset.id} is a sound file ({asset.format}); a video is needed")
        item = {"name": name, "key": asset.key, "size": asset.size, "sha256": asset.sha256, "etag": asset.etag}
        return Source(item, f"asset:{asset.id}")
    request = requests.get(session, reference.request, owner, keep=True)
    if request.state != State.SUCCEEDED:
        raise RequestNotReadyError(f"request {request.id} is {request.state}: it has no outputs")
    output = (request.result or {}).get("outputs", {}).get(reference.output)
    if output is None:
        raise OutputNotFoundError(f"request {request.id} has no output {reference.output!r}")
    item = {"name": name, "key": output["key"], "size": output["size"], "sha256": output["sha256"]}
    return Source(item, f"request:{request.id}")


def model(session: Session, owner: str, avatar: str, number: int | None) -> tuple[AvatarVersion, list[Source]]:
    """The version that is asked for, or the newest, and its files.

    Raises AvatarNotFoundError, VersionNotFoundError, AvatarNotReadyError.
    """
    found = avatars.version(session, owner, avatar, number, keep=True)
    mark = f"request:{found.request_id}"
    items = [{**file, "key": found.prefix + file["name"]} for file in found.files if file["name"].startswith(MODEL)]
    return found, [Source(item, mark) for item in items]


def voice(session: Session, owner: str, name: str | None, built_in: Collection[str]) -> Source | None:
    """The recording to be spoken with; None: a voice of the engine's is meant: one of `built_in`, or where those are not known,
    what cannot be a person's. Raises VoiceUnknownError, VoiceNotReadyError.
    """
    if name is None or name in built_in or not (built_in or _PERSONS.fullmatch(name) or not _ENGINES.fullmatch(name)):
        return None
    try:
        found = voices.get(session, owner, name, keep=True)
    except VoiceNotFoundError as error:
        raise VoiceUnknownError(
            f"there is no voice {name!r}: neither a built-in one (`GET /v1/voices` lists them) nor one of yours"
        ) from error
    if found.reference is None:
        raise VoiceNotReadyError(f"voice {name!r} is {found.state}: see its enrolment, request {found.request.id}")
    item = {"name": f"inputs/reference/{name}", **{key: found.reference[key] for key in ("key", "size", "sha256")}}
    return Source(item, f"request:{found.request.id}")


def checked(session: Session, owner: str, references: Iterable[Reference | None]) -> list[Json]:
    """The objects behind the references that were checked. What has none is left out: `resolve` says what is wrong with it."""
    ids: list[UUID] = [one.asset for one in references if isinstance(one, AssetReference)]
    found = assets.several(session, owner, ids) if ids else []
    return [{"key": row.key, "size": row.size, "etag": row.etag} for row in found if row.state == AssetState.READY]


def check_object(objects: Objects, item: Json) -> None:
    """Raises AssetChangedError if the object of an input has another size or ETag by now, or is gone."""
    stat = objects.stat(item["key"])
    if stat is None or stat.size != item["size"] or stat.etag != item.get("etag", stat.etag):
        raise AssetChangedError(f"{item['key'].split('/')[1]} is not what was checked after its upload: upload it again")
