"""Settings of the API."""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from store.settings import StoreSettings

NO_GPU = "none"


class Settings(StoreSettings):
    """Settings of `python -m api`. Environment prefix `GENEFACE_`."""

    host: str = Field("127.0.0.1", description="Address that the API listens on")
    port: int = Field(8000, ge=1, le=65535, description="Port that the API listens on")
    upload_limit: int = Field(2 << 30, ge=1, description="Largest asset in bytes; more is refused with 413")
    body_limit: int = Field(1 << 20, ge=1 << 10, description="Largest JSON body in bytes; more is refused with 413")
    upload_slots: int = Field(8, ge=1, description="Uploads through the API (multipart) that are taken in at once; others wait")
    poll_seconds: float = Field(1.0, gt=0, le=60, description="How often an open event or log stream looks again by itself")
    heartbeat_seconds: float = Field(15.0, gt=0, le=300, description="An event stream is never silent for longer")
    owner_header: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9-]+$",
        description="Header in which a trusted proxy says who is asking (and drops it from outside). Default: one owner",
    )
    gpu_classes: dict[str, Any] = Field(default_factory=dict, description="What a request may name as its `gpu`")
    namespace: str | None = Field(
        None, description="Kubernetes namespace of the Jobs: the controller's default is `geneface`; the API's is none, and "
        "its answers then carry no `kubectl logs` line",
    )  # fmt: skip
    default_gpu: str = Field(NO_GPU, description="The GPU class of requests that name none; none: CPU")
    tts_engine: Literal["kokoro", "xtts", "http"] = Field(
        "kokoro", description="What speaks: kokoro = built-in voices; xtts, http (a server of `POST /tts`) = people's voices too"
    )
    coqui_tos_agreed: bool = Field(
        default_factory=lambda: os.environ.get("COQUI_TOS_AGREED") == "1",
        description="Whether the terms of XTTS's weights (no commercial use) are agreed to; also `COQUI_TOS_AGREED=1`",
    )
    reply_available: bool = Field(
        default_factory=lambda: bool(os.environ.get("ZHIPU_API_KEY")),
        description="Whether Jobs have a language model's key: dialogues are taken. Default: whether `ZHIPU_API_KEY` is set",
    )
    weights_dir: Path | None = Field(
        None, description="Folder of the optional weights, to refuse what lacks them. Default: not looked at"
    )
    report_seconds: float = Field(2.0, gt=0, le=60, description="How often a worker may report at most")
    shutdown_seconds: int = Field(10, ge=1, description="How long open answers may take when the API is stopped")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")

    @field_validator("port", mode="before")
    @classmethod
    def _not_a_service(cls, value: Any) -> Any:
        # Kubernetes sets GENEFACE_PORT=tcp://10.0.0.1:80 in every pod beside a Service named geneface.
        return 8000 if isinstance(value, str) and value.startswith("tcp://") else value
