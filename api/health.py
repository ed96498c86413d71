"""/healthz, /readyz, /metrics."""

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from api import answers, errors
from api.platform import Here
from api.problems import documented
from store import migrate

router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="Is the program alive?", responses=documented())
async def alive() -> answers.Health:
    """Asks nothing of any other server."""
    return answers.Health(status="ok")


@router.get(
    "/readyz", summary="Can requests be served?",
    responses=documented(errors.StorageUnavailableError, errors.SchemaOutdatedError),
)  # fmt: skip
def ready(here: Here) -> answers.Health:
    """Whether the database, its schema and the object store are there."""
    if here.stopping.is_set():
        raise errors.DatabaseUnavailableError("the API is stopping")
    if missing := migrate.missing(here.database):
        raise errors.SchemaOutdatedError(f"{errors.SchemaOutdatedError.__doc__} {missing[0].upper()}{missing[1:]}.")
    if not here.objects.ready():
        raise errors.StorageUnavailableError(f"there is no bucket {here.objects.bucket!r}")
    return answers.Health(status="ok")


@router.get(
    "/metrics", summary="Prometheus metrics", response_class=Response,
    responses={200: {"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}}, **documented()},
)  # fmt: skip
def metrics(here: Here) -> Response:
    """Answers and their latency by route, requests by kind and state, the age of the queue."""
    return Response(here.measures.text(), media_type=CONTENT_TYPE_LATEST)
