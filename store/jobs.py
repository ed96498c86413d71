"""A request as the controller sees it: given a Job, watched, ended, or put back into the queue.

Every write is guarded by the attempt's number and a state that is not final: of two writers one wins, the other sees 0 rows.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from store import removals, requests
from store.models import ACTIVE, OPEN, Attempt, Request, State


def job_name(request: Request, number: int) -> str:
    """`gf-<kind>-<id as 32 hex>-<attempt>`: never used twice."""
    return f"gf-{request.kind}-{request.id.hex}-{number}"


def open_ids(session: Session) -> list[UUID]:
    """Requests that are not final, oldest first."""
    return list(session.scalars(select(Request.id).where(Request.state.in_(OPEN)).order_by(Request.id)))


def uncleaned(session: Session) -> list[UUID]:
    """Requests with an attempt that has ended and whose Job was not yet seen gone."""
    query = select(Attempt.request_id).where(Attempt.cleaned_at.is_(None), Attempt.ended_at.is_not(None)).distinct()
    return list(session.scalars(query))


def load(session: Session, ids: Sequence[UUID]) -> dict[UUID, tuple[Request, list[Attempt]]]:
    """The requests and their attempts that still matter (current, or not cleaned), first to last. Deleted ones are left out."""
    found = session.scalars(select(Request).where(Request.id.in_(ids)).execution_options(populate_existing=True))
    rows: dict[UUID, tuple[Request, list[Attempt]]] = {request.id: (request, []) for request in found}
    attempts = select(Attempt).where(Attempt.request_id.in_(list(rows))).order_by(Attempt.number)
    for attempt in session.scalars(attempts.execution_options(populate_existing=True)):
        request, of_request = rows[attempt.request_id]
        if attempt.cleaned_at is None or attempt.number == request.attempt:
            of_request.append(attempt)
    return rows


def submit(session: Session, request_id: UUID, number: int) -> Attempt | None:
    """queued → submitted under attempt `number` (the request's last + 1). None: somebody was faster, or it was cancelled."""
    request = requests.locked(session, request_id)
    if request is None or request.state != State.QUEUED or request.attempt != number - 1:
        return None
    request.state, request.attempt, request.waiting_reason, request.next_try_at = State.SUBMITTED, number, None, None
    request.progress, request.stage, request.eta_seconds = 0.0, None, None
    attempt = Attempt(request_id=request.id, owner=request.owner, number=number, job_name=job_name(request, number))
    session.add(attempt)
    session.flush()
    requests.record(session, request, "submitted", attempt=number, job=attempt.job_name)
    return attempt


def acknowledge(session: Session, attempt_id: UUID, job_uid: str) -> None:
    """The cluster has the Job."""
    session.execute(update(Attempt).where(Attempt.id == attempt_id, Attempt.job_uid.is_(None)).values(job_uid=job_uid))


def finish(session: Session, request_id: UUID, number: int, state: State, code: str | None, message: str | None) -> bool:
    """Ends the request as failed or cancelled. False: it was final already, or a later attempt is current."""
    request = requests.locked(session, request_id)
    if request is None or request.state not in ACTIVE or request.attempt != number:
        return False
    now = datetime.now(UTC)
    request.state, request.finished_at, request.waiting_reason, request.eta_seconds = state, now, None, None
    request.error_code, request.error_message = code, message
    _end(session, request, str(state), code, message, now)
    removals.leftovers(session, request)
    requests.record(session, request, str(state), attempt=number, **_error(code, message))
    return True


def requeue(
    session: Session, request_id: UUID, number: int, *, counted: bool, code: str, message: str, next_try_at: datetime | None
) -> bool:
    """Back to the queue for another attempt; `counted` tries are limited, disruptions have a limit of their own.

    False: it is final, a later attempt is current, or its cancel has come in between.
    """
    request = requests.locked(session, request_id)
    if request is None or request.state not in ACTIVE or request.attempt != number or request.cancel_requested_at is not None:
        return False
    now = datetime.now(UTC)
    if counted:
        request.tries += 1
    else:
        request.disruptions += 1
    request.state, request.next_try_at, request.eta_seconds = State.QUEUED, next_try_at, None
    when = "" if next_try_at is None else f"; next try at {next_try_at:%H:%M:%S} UTC"
    request.waiting_reason = message + when
    _end(session, request, "retry" if counted else "disrupted", code, message, now)
    requests.record(session, request, "requeued", attempt=number, counted=counted, **_error(code, message))
    return True


def cleaned(session: Session, attempt_id: UUID) -> None:
    """The attempt's Job is gone from the cluster."""
    session.execute(update(Attempt).where(Attempt.id == attempt_id).values(cleaned_at=datetime.now(UTC)))


def _end(session: Session, request: Request, outcome: str, code: str | None, message: str | None, now: datetime) -> None:
    session.execute(
        update(Attempt)
        .where(Attempt.request_id == request.id, Attempt.number == request.attempt, Attempt.ended_at.is_(None))
        .values(outcome=outcome, error_code=code, error_message=message, ended_at=now)
    )


def _error(code: str | None, message: str | None) -> dict[str, str]:
    return {} if code is None else {"code": code, "message": message or ""}
