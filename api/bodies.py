"""What people send: the bodies of the POSTs. Unknown fields are refused."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
LARGEST = (1 << 63) - 1

Name = Annotated[str, Field(pattern=NAME, max_length=63, examples=["ada"])]
Line = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""One line of text without control characters."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Lower-case hex", examples=["0" * 64])]
Whole = Annotated[int, Field(strict=True)]


class Body(BaseModel):
    """A body in which every field is known."""

    model_config = ConfigDict(extra="forbid")


class AssetReference(Body):
    """An uploaded file."""

    asset: UUID = Field(description="Id of a ready asset")


class OutputReference(Body):
    """What a request made."""

    request: UUID = Field(description="Id of a request that has succeeded")
    output: Annotated[Line, Field(max_length=100)] = Field(description="Name of its output, e.g. `video`")


def _kind_of_reference(value: Any) -> str:
    of_request = "request" in value if isinstance(value, dict) else isinstance(value, OutputReference)
    return "request" if of_request else "asset"


Reference = Annotated[
    Annotated[AssetReference, Tag("asset")] | Annotated[OutputReference, Tag("request")], Discriminator(_kind_of_reference)
]


class Consent(Body):
    """The person's consent to being trained."""

    statement: Annotated[Line, Field(max_length=2000)] = Field(description="What the person agreed to")
    by: Annotated[Line, Field(max_length=200)] = Field(description="Who says so")


Gpu = Annotated[
    Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")] | None,
    Field(description="GPU class, by its name in the configuration; none: CPU. Default: as configured"),
]


class TrainingBody(Body):
    """Train an avatar: its first version, or the next one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "avatar": "ada",
                    "video": {"asset": "019a0000-0000-7000-8000-000000000000"},
                    "profile": "quick",
                    "consent": {"statement": "I agree that a talking model of my face is made.", "by": "Ada"},
                }
            ]
        }
    )

    avatar: Name
    title: Annotated[Line, Field(max_length=200)] | None = Field(None, description="Free text shown with the name")
    video: Reference = Field(description="The person, talking")
    profile: Literal["quick", "cpu", "gpu"] | None = Field(None, description="Default: gpu on a GPU, else cpu")
    epochs: Annotated[Whole, Field(ge=1, le=100_000)] | None = Field(None, description="Instead of the profile's own number")
    renderer: Literal["plane", "nerf", "gs"] | None = Field(None, description="Default: plane, pasted on the source frame")
    gpu: Gpu = None
    seed: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = None
    consent: Consent

    @model_validator(mode="after")
    def _one_of(self) -> "TrainingBody":
        if self.profile is not None and self.epochs is not None:
            raise PydanticCustomError("one_of", "give profile or epochs, not both")
        return self

    def fields(self, gpu: str | None) -> dict[str, Any]:
        """As they stand in the request's spec: GPU class (None: CPU) and profile are settled."""
        default = "cpu" if gpu is None else "gpu"
        return {**self.model_dump(mode="json"), "gpu": gpu, "profile": self.profile or default}


class RenderingBody(Body):
    """Film an avatar saying what a recording says."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"avatar": "ada", "audio": {"asset": "019a0000-0000-7000-8000-000000000000"}}]}
    )

    avatar: Name
    version: Annotated[Whole, Field(ge=1, le=2**31 - 1)] | None = Field(None, description="Default: the newest")
    audio: Reference | None = Field(None, description="What is said; also the sound of a video")
    text: str | None = Field(None, description="Not available yet: 422 `text_not_supported`")
    voice: str | None = Field(None, description="Not available yet: 422 `text_not_supported`")
    background: Annotated[str, Field(pattern=r"^(source|plate|#[0-9a-fA-F]{6})$")] | None = Field(
        None, description="source (default): the video's own; plate: its background alone behind the person; or a colour, #rrggbb"
    )
    gpu: Gpu = None
    seed: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = None

    @model_validator(mode="after")
    def _audio_given(self) -> "RenderingBody":
        if self.text is not None or self.voice is not None:
            raise PydanticCustomError("text_not_supported", "rendering from text and voice is not available yet: give audio")
        if self.audio is None:
            raise PydanticCustomError("one_of", "audio is missing")
        return self


class EvaluationBody(Body):
    """Score files against a ground truth, or an avatar on the held-out tail of its own video."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"avatar": "ada"},
                {
                    "ground_truth": {"asset": "019a0000-0000-7000-8000-000000000000"},
                    "predictions": [{"request": "019a0000-0000-7000-8000-000000000001", "output": "video"}],
                },
            ]
        }
    )

    ground_truth: Reference | None = None
    predictions: Annotated[list[Reference], Field(min_length=1, max_length=8)] | None = None
    avatar: Name | None = None
    version: Annotated[Whole, Field(ge=1, le=2**31 - 1)] | None = Field(None, description="Default: the newest")
    gpu: Gpu = None

    @model_validator(mode="after")
    def _one_of(self) -> "EvaluationBody":
        files = self.ground_truth is not None and self.predictions is not None
        none_of_files = self.ground_truth is None and self.predictions is None
        none_of_avatar = self.avatar is None and self.version is None
        if not ((files and none_of_avatar) or (none_of_files and self.avatar is not None)):
            raise PydanticCustomError("one_of", "give ground_truth and predictions, or avatar (and version)")
        return self


class AssetBody(Body):
    """A file that is going to be uploaded."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"filename": "me talking.mp4", "size": 3_000_000}]})

    filename: Annotated[Line, Field(max_length=255)] = Field(description="Kept as given; the object has a name of its own")
    size: Annotated[Whole, Field(ge=0)] = Field(description="Bytes")
    sha256: Sha256 | None = Field(None, description="Checked when the upload is completed")
