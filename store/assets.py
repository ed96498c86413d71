"""Assets: uploaded videos and recordings."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from store import ids, objects, requests
from store.errors import AssetInUseError, AssetNotFoundError, AssetNotUploadedError
from store.models import Asset, AssetState, Event, Removal

PENDING_LIFE = timedelta(hours=24)

# Made once, as in store.requests.
_KEPT = select(Asset).where(Asset.id == bindparam("id"), Asset.owner == bindparam("owner")).with_for_update(read=True)
_SEVERAL = select(Asset).where(Asset.owner == bindparam("owner"), Asset.id.in_(bindparam("ids", expanding=True)))


def create(session: Session, owner: str, filename: str, size: int, sha256: str | None) -> Asset:
    """A pending asset: its object is still to come."""
    asset_id = ids.new()
    asset = Asset(id=asset_id, owner=owner, filename=filename, size=size, sha256=sha256, key=objects.asset_key(asset_id))
    session.add(asset)
    session.flush()
    return asset


def get(session: Session, asset_id: UUID, owner: str, lock: bool = False) -> Asset:
    """Raises AssetNotFoundError."""
    query = select(Asset).where(Asset.id == asset_id, Asset.owner == owner)
    asset = session.scalar(query.with_for_update() if lock else query)
    if asset is None:
        raise AssetNotFoundError(f"there is no asset {asset_id}")
    return asset


def ready(session: Session, asset_id: UUID, owner: str) -> Asset:
    """The asset, kept from deletion until the transaction ends. Raises AssetNotFoundError, AssetNotUploadedError."""
    asset = session.scalar(_KEPT, {"id": asset_id, "owner": owner})
    if asset is None:
        raise AssetNotFoundError(f"there is no asset {asset_id}")
    if asset.state != AssetState.READY:
        raise AssetNotUploadedError(f"asset {asset_id} is not uploaded yet")
    return asset


def several(session: Session, owner: str, asset_ids: list[UUID]) -> list[Asset]:
    """Those of the assets that are there."""
    return list(session.scalars(_SEVERAL, {"owner": owner, "ids": asset_ids}))


def complete(session: Session, asset: Asset, *, size: int, sha256: str, etag: str, format_: str) -> None:
    """pending → ready, with what the check found."""
    asset.state, asset.size, asset.sha256, asset.etag, asset.format = AssetState.READY, size, sha256, etag, format_
    asset.completed_at = datetime.now(UTC)


def page(session: Session, owner: str, limit: int = 50, cursor: UUID | None = None) -> list[Asset]:
    """Newest first; one more than `limit` when there is a further page."""
    query = select(Asset).where(Asset.owner == owner).order_by(Asset.id.desc()).limit(limit + 1)
    return list(session.scalars(query if cursor is None else query.where(Asset.id < cursor)))


def remove(session: Session, asset_id: UUID, owner: str) -> None:
    """Deletes the row; the object follows. Raises AssetNotFoundError, AssetInUseError."""
    asset = get(session, asset_id, owner, lock=True)
    if in_use := requests.users(session, owner, [f"asset:{asset_id}"]):
        raise AssetInUseError(f"asset {asset_id} is in use by request {in_use[0]}")
    _delete(session, asset, "asset_deleted")


def discard(session: Session, asset_id: UUID, owner: str) -> None:
    """Deletes a pending asset whose upload came to nothing; a ready one stays."""
    query = select(Asset).where(Asset.id == asset_id, Asset.owner == owner, Asset.state == AssetState.PENDING)
    asset = session.scalar(query.with_for_update())
    if asset is not None:
        _delete(session, asset, "asset_discarded")


def sweep(session: Session) -> int:
    """Deletes assets that have been pending for 24 h."""
    old = datetime.now(UTC) - PENDING_LIFE
    query = select(Asset).where(Asset.state == AssetState.PENDING, Asset.created_at < old).with_for_update(skip_locked=True)
    found = list(session.scalars(query))
    for asset in found:
        _delete(session, asset, "asset_expired")
    return len(found)


def _delete(session: Session, asset: Asset, type_: str) -> None:
    session.add(Removal(owner=asset.owner, prefix=f"assets/{asset.id}/"))
    session.add(Event(subject=asset.id, owner=asset.owner, type=type_, data={"filename": asset.filename}))
    session.delete(asset)
