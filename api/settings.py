"""Settings of the API."""

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
    report_seconds: float = Field(2.0, gt=0, le=60, description="How often a worker may report at most")
    shutdown_seconds: int = Field(10, ge=1, description="How long open answers may take when the API is stopped")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")

    @field_validator("port", mode="before")
    @classmethod
    def _not_a_service(cls, value: Any) -> Any:
        # Kubernetes sets GENEFACE_PORT=tcp://10.0.0.1:80 in every pod beside a Service named geneface.
        return 8000 if isinstance(value, str) and value.startswith("tcp://") else value
