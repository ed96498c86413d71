"""Settings of `python -m speech serve`. Environment prefix `GENEFACE_`."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """What the TTS service takes from the environment; `--host` and `--port` win over it."""

    model_config = SettingsConfigDict(env_prefix="GENEFACE_", extra="ignore")

    tts_host: str = Field("127.0.0.1", description="Address that the TTS service listens on")
    tts_port: int = Field(8010, ge=0, le=65535, description="Port of the TTS service; 0: any that is free")
    tts_workers: int = Field(
        1, ge=1, le=64, description="Texts that the TTS service speaks at once, each with a model of its own"
    )
    tts_queue: int = Field(8, ge=0, le=10_000, description="Texts that wait besides; more are refused with 429")
    tts_seconds: float = Field(1800.0, gt=0, description="Longest time for one text, waiting and delivery included")
    tts_drain_seconds: int = Field(60, ge=1, description="Time to finish what was begun when the TTS service is stopped")
    tts_body_limit: int = Field(16 << 20, ge=1 << 10, description="Largest body of POST /tts in bytes; more is refused with 413")
