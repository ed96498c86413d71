"""Settings of the embedded platform. Environment prefix `GENEFACE_`."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LocalSettings(BaseSettings):
    """What `python -m local` takes from the environment; the API's and the controller's own settings hold as well."""

    model_config = SettingsConfigDict(env_prefix="GENEFACE_", extra="ignore")

    home: Path = Field(Path(".local"), description="Folder of the local platform's state: database, objects, work folders, logs")
    host: str = Field("127.0.0.1", description="Address that the API listens on")
    port: int = Field(8000, description="Port of the API", ge=1, le=65535)
    local_s3_port: int = Field(8001, description="Port of the embedded object storage, 127.0.0.1 only", ge=1, le=65535)
    tts_serve: bool | None = Field(
        None, description="Whether `up` starts the TTS service too; default: when the weights of Kokoro are there"
    )
    tts_port: int = Field(
        8010, description="Port of the TTS service, 127.0.0.1 only; when it is in use, any that is free", ge=1, le=65535
    )
    slots: int = Field(max(1, (os.cpu_count() or 1) // 4), description="Jobs that run at once on this machine", ge=1)
    database_url: str | None = Field(None, description="A PostgreSQL of your own instead of the embedded one")
    s3_endpoint: str | None = Field(None, description="An S3 server of your own instead of the embedded one")
