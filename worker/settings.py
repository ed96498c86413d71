"""What the pod's environment says, checked at start."""

from pathlib import Path
from uuid import UUID

from pydantic import Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

TOKEN_VARIABLE = "GENEFACE_ATTEMPT_TOKEN"  # noqa: S105 - the variable's name
"""The one credential of the pod; the step's command never sees it."""


class Settings(BaseSettings):
    """Settings of `python -m worker`, each from the environment variable `GENEFACE_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="GENEFACE_", frozen=True)

    api_url: HttpUrl
    """Where the workers' door is, without `/v1`."""
    attempt: UUID
    attempt_token: SecretStr
    run: str = Field(min_length=1)
    """This pod: its UID on Kubernetes."""
    work_dir: Path
    """Shared by the steps of a Job."""
    termination_log: Path = Path("/dev/termination-log")
    device: str | None = None
    """`--device` of training and rendering; the step's own choice when absent."""
    deadline: float = Field(3600, ge=0)
    """Seconds for which an API or object store that is away is waited for, from its first silence on."""
    backoff_first: float = Field(1, gt=0)
    backoff_most: float = Field(15, gt=0)
    """Seconds between two tries: the first pause, doubled up to the longest."""
    report_interval: float | None = Field(None, gt=0)
    """Seconds between two reports, instead of what the API asks for with the claim."""
    grace: float = Field(100, gt=0)
    """Seconds from SIGTERM to the worker's end: two thirds for the step to flush its checkpoint, the rest to carry it away.
    Below the pod's terminationGracePeriodSeconds (120)."""
    parallel: int = Field(4, ge=1, le=64)
    """Files carried at once."""
