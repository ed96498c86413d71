"""Which of the waiting requests may have a Job now. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from store.queue import Waiting


@dataclass(frozen=True)
class Caps:
    """How many requests may be at work at once: in all, of one owner (None: no such limit), with each GPU class."""

    total: int
    per_owner: int | None = None
    per_gpu: Mapping[str, int] = field(default_factory=dict)


def admit(waiting: Iterable[Waiting], at_work: Mapping[tuple[str, str | None], int], caps: Caps) -> list[UUID]:
    """Those who may, who is next first.

    waiting: who is next first; at_work: counts by owner and GPU class. Whoever finds no room holds up nobody else.
    """
    owners: Counter[str] = Counter()
    classes: Counter[str | None] = Counter()
    for (owner, gpu), count in at_work.items():
        owners[owner] += count
        classes[gpu] += count
    total = sum(at_work.values())
    admitted = []
    for one in waiting:
        if total >= caps.total:
            break
        if _room(owners[one.owner], caps.per_owner) and _room(classes[one.gpu], caps.per_gpu.get(one.gpu or "")):
            total += 1
            owners[one.owner] += 1
            classes[one.gpu] += 1
            admitted.append(one.id)
    return admitted


def _room(count: int, cap: int | None) -> bool:
    return cap is None or count < cap
