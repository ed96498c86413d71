"""Avatars and their versions."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Integer, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from store import requests
from store.errors import AvatarInUseError, AvatarNotFoundError, AvatarNotReadyError, VersionNotFoundError
from store.models import OPEN, Avatar, AvatarVersion, Dataset, Event, Json, Kind, Removal, Request

# Made once, as in store.requests.
_WANTED = AvatarVersion.version == func.coalesce(bindparam("number", type_=Integer), AvatarVersion.version)
_VERSION = (
    select(Avatar.id, AvatarVersion)
    .outerjoin(AvatarVersion, (AvatarVersion.avatar_id == Avatar.id) & _WANTED)
    .where(Avatar.owner == bindparam("owner"), Avatar.name == bindparam("name"))
    .order_by(AvatarVersion.version.desc())
    .limit(1)
)
_VERSION_KEPT = _VERSION.with_for_update(read=True, key_share=True, of=Avatar)


def get(session: Session, owner: str, name: str) -> Avatar:
    """Raises AvatarNotFoundError."""
    avatar = session.scalar(select(Avatar).where(Avatar.owner == owner, Avatar.name == name))
    if avatar is None:
        raise AvatarNotFoundError(f"there is no avatar {name!r}")
    return avatar


def ensure(session: Session, owner: str, name: str, title: str | None, consent: Json) -> Avatar:
    """The avatar of that name, made with its first training; a later training may give it a new title and consent."""
    row = insert(Avatar).values(owner=owner, name=name, title=title, consent=consent)
    changes = {"consent": row.excluded.consent, "title": func.coalesce(row.excluded.title, Avatar.title)}
    query = row.on_conflict_do_update(index_elements=["owner", "name"], set_=changes).returning(Avatar)
    avatar = session.scalar(query, execution_options={"populate_existing": True})
    assert avatar is not None  # noqa: S101 - an upsert with RETURNING gives its row
    return avatar


def listed(session: Session, owner: str, limit: int = 100, after: str = "") -> list[Avatar]:
    """By name, those after `after`."""
    query = select(Avatar).where(Avatar.owner == owner, Avatar.name > after).order_by(Avatar.name).limit(limit)
    return list(session.scalars(query))


def versions(session: Session, avatar: Avatar) -> list[AvatarVersion]:
    """Newest first."""
    query = select(AvatarVersion).where(AvatarVersion.avatar_id == avatar.id)
    return list(session.scalars(query.order_by(AvatarVersion.version.desc())))


def versions_of(session: Session, found: list[Avatar]) -> dict[UUID, list[AvatarVersion]]:
    """The versions of several avatars by the avatar's id, newest first."""
    grouped: dict[UUID, list[AvatarVersion]] = {avatar.id: [] for avatar in found}
    query = select(AvatarVersion).where(AvatarVersion.avatar_id.in_(grouped))
    for row in session.scalars(query.order_by(AvatarVersion.version.desc())):
        grouped[row.avatar_id].append(row)
    return grouped


def version(session: Session, owner: str, name: str, number: int | None = None, keep: bool = False) -> AvatarVersion:
    """That version, or the newest; `keep`: it cannot be deleted until the transaction ends.

    Raises AvatarNotFoundError, VersionNotFoundError, AvatarNotReadyError.
    """
    row = session.execute(_VERSION_KEPT if keep else _VERSION, {"owner": owner, "name": name, "number": number}).first()
    if row is None:
        raise AvatarNotFoundError(f"there is no avatar {name!r}")
    found = row[1]
    if found is None and number is not None:
        raise VersionNotFoundError(f"avatar {name!r} has no version {number}")
    if found is None:
        raise AvatarNotReadyError(f"avatar {name!r} has no trained version yet")
    return found


def add_version(session: Session, request: Request, prefix: str, files: list[Json]) -> AvatarVersion:
    """The avatar's next version. The avatar's row is locked, so that two trainings at once give two numbers."""
    avatar = session.scalar(select(Avatar).where(Avatar.owner == request.owner, Avatar.name == request.avatar).with_for_update())
    if avatar is None:
        raise AvatarNotFoundError(f"there is no avatar {request.avatar!r}")
    last = session.scalar(select(func.max(AvatarVersion.version)).where(AvatarVersion.avatar_id == avatar.id)) or 0
    row = AvatarVersion(
        avatar_id=avatar.id, owner=request.owner, version=last + 1, request_id=request.id, prefix=prefix, files=files
    )
    session.add(row)
    session.flush()
    return row


def remove(session: Session, owner: str, name: str) -> UUID:
    """Deletes the avatar, its versions, its requests with their datasets and checkpoints; their objects follow. Events stay.

    Raises AvatarNotFoundError; AvatarInUseError while a request of this avatar, or one that reads its datasets, is not final.
    """
    avatar = session.scalar(select(Avatar).where(Avatar.owner == owner, Avatar.name == name).with_for_update())
    if avatar is None:
        raise AvatarNotFoundError(f"there is no avatar {name!r}")
    its = select(Request).where(Request.owner == owner, Request.avatar == name)
    # Not locked before this: one that publishes holds its own row and waits for the avatar's.
    in_use = list(session.scalars(its.where(Request.state.in_(OPEN)).with_only_columns(Request.id)))
    gone: list[Request] = []
    if not in_use:
        gone = list(session.scalars(its.with_for_update()))
        marks = [f"request:{request.id}" for request in gone]
        marks += [use for request in gone if request.kind == Kind.TRAINING for use in request.uses if use.startswith("video:")]
        in_use = requests.users(session, owner, marks)
    if in_use:
        raise AvatarInUseError(f"avatar {name!r} is in use by request {in_use[0]}; cancel that or let it end")
    ids = [request.id for request in gone]
    session.add_all(Removal(owner=owner, prefix=f"requests/{request_id}/") for request_id in ids)
    session.execute(delete(Dataset).where(Dataset.request_id.in_(ids)))
    session.execute(delete(Request).where(Request.id.in_(ids)))
    session.delete(avatar)
    session.add(
        Event(
            subject=avatar.id, owner=owner, at=datetime.now(UTC), type="avatar_deleted", data={"name": name, "requests": len(ids)}
        )
    )
    return avatar.id
