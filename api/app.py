"""The application: routers, error answers, the edge, and what starts and ends with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline

from api import assets, attempts, avatars, conversations, events, health, logs, problems, requests, submissions, voices
from api.bodies import AssetBody
from api.changes import Changes
from api.edge import Edge
from api.measures import Measures
from api.platform import Platform
from api.settings import Settings
from store.database import Database
from store.objects import Objects

DESCRIPTION = """Train a talking-face avatar from one video, film it saying anything, talk with it, score the result.

Errors are `application/problem+json` with a stable `code`. Every POST (but the workers') takes an `Idempotency-Key`.
"""


def create(settings: Settings) -> FastAPI:
    """An application that serves once its lifespan has begun. Needs no server to be there yet: it answers 503 until they are."""
    database = Database(settings.database_url)
    measures = Measures(database)
    platform = Platform(
        settings, database, Objects(settings), Changes(database), measures, CapacityLimiter(settings.upload_slots)
    )  # fmt: skip

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        platform.changes.start()
        yield
        platform.stop()
        platform.changes.stop()
        database.close()

    app = FastAPIOffline(  # FastAPI's own /docs would load its scripts from elsewhere
        title="GeneFace platform", version=_version(), description=DESCRIPTION, lifespan=lifespan, redirect_slashes=False,
        redoc_url=None,
    )  # fmt: skip
    app.state.platform = platform
    for room in (submissions, requests, events, logs, avatars, voices, conversations, assets, attempts, health):
        app.include_router(room.router)
    problems.install(app)
    app.add_middleware(Edge, measures=measures, body_limit=settings.body_limit)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = document["components"]["schemas"]
        for model in (problems.Problem, AssetBody):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas[model.__name__] = schema
        app.openapi_schema = document
    return app.openapi_schema


def _version() -> str:
    try:
        return version("geneface-platform")
    except PackageNotFoundError:
        return "0"
