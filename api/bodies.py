"""What people send: the bodies of the POSTs. Unknown fields are refused."""

import re
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
LARGEST = (1 << 63) - 1
TEXT_LENGTH, QUESTION_LENGTH = 20_000, 4_000
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")
"""All but tab and line ends."""

Name = Annotated[str, Field(pattern=NAME, max_length=63, examples=["ada"])]
Line = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""One line of text without control characters."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Lower-case hex", examples=["0" * 64])]
Whole = Annotated[int, Field(strict=True)]


def _said(text: str) -> str:
    """Without control characters, which nobody can say and PostgreSQL cannot keep."""
    cleaned = _CONTROLS.sub(" ", text)
    if not cleaned.strip():
        raise PydanticCustomError("text_empty", "the text holds nothing but spaces and control characters")
    return cleaned


Text = Annotated[str, Field(min_length=1, max_length=TEXT_LENGTH, examples=["Good morning. 早上好。"]), AfterValidator(_said)]
Question = Annotated[
    str, Field(min_length=1, max_length=QUESTION_LENGTH, examples=["What is a lighthouse for?"]), AfterValidator(_said)
]


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
    """The person's consent to being imitated."""

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


class Speaking(Body):
    """Who says it, and how."""

    voice: Annotated[Line, Field(max_length=63)] | None = Field(
        None, description="A built-in one (`af_heart`, `zm_yunxi` …), or one of yours. Default: a built-in one of the language"
    )
    language: Literal["zh", "en"] | None = Field(None, description="Default: found in the text or the recording")
    speed: Annotated[float, Field(ge=0.5, le=2.0)] | None = Field(None, description="1: as the voice speaks by itself")


class Filming(Body):
    """Who is filmed, and how."""

    avatar: Name
    version: Annotated[Whole, Field(ge=1, le=2**31 - 1)] | None = Field(None, description="Default: the newest")
    background: Annotated[str, Field(pattern=r"^(source|plate|#[0-9a-fA-F]{6})$")] | None = Field(
        None, description="source (default): the video's own; plate: its background alone behind the person; or a colour, #rrggbb"
    )
    subtitles: Literal["burn"] | None = Field(None, description="burn: what is said is written into the picture")
    gpu: Gpu = None
    seed: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = None


class RenderingBody(Filming, Speaking):
    """Film an avatar saying what a recording says, or a text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"avatar": "ada", "audio": {"asset": "019a0000-0000-7000-8000-000000000000"}},
                {"avatar": "ada", "text": "Good morning. 早上好。", "voice": "af_heart", "subtitles": "burn"},
            ]
        }
    )

    audio: Reference | None = Field(None, description="What is said; also the sound of a video")
    text: Text | None = Field(None, description="What is said, to be read out")

    @model_validator(mode="after")
    def _one_of(self) -> "RenderingBody":
        if (self.audio is None) == (self.text is None):
            raise PydanticCustomError("one_of", "give audio or text, one of them")
        if self.audio is not None and (self.voice is not None or self.speed is not None):
            raise PydanticCustomError("one_of", "voice and speed are for text: audio is heard as it is")
        return self


class SynthesisBody(Speaking):
    """Read a text out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "Good morning. 早上好。", "voice": "af_heart"}]})

    text: Text
    gpu: Gpu = None


class DialogueBody(Filming, Speaking):
    """Ask an avatar something: a language model answers, and the avatar is filmed saying it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"avatar": "ada", "text": "What is a lighthouse for?"},
                {
                    "avatar": "ada",
                    "audio": {"asset": "019a0000-0000-7000-8000-000000000000"},
                    "conversation": "019a0000-0000-7000-8000-000000000001",
                },
            ]
        }
    )

    audio: Reference | None = Field(None, description="The question, spoken")
    text: Question | None = Field(None, description="The question, written")
    conversation: UUID | None = Field(
        None, description="The one that this goes on with, as an earlier dialogue's answer names it. Default: a new one"
    )
    system_prompt: Question | None = Field(None, description="Who the avatar is and how it answers, for this turn")

    @model_validator(mode="after")
    def _one_of(self) -> "DialogueBody":
        if (self.audio is None) == (self.text is None):
            raise PydanticCustomError("one_of", "give audio or text, one of them")
        return self


class VoiceBody(Body):
    """Make a person's voice one to be spoken with."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "ada",
                    "recording": {"asset": "019a0000-0000-7000-8000-000000000000"},
                    "consent": {"statement": "I agree that my voice is imitated.", "by": "Ada"},
                }
            ]
        }
    )

    name: Name
    title: Annotated[Line, Field(max_length=200)] | None = Field(None, description="Free text shown with the name")
    recording: Reference = Field(description="5 to 60 s of this person alone, talking")
    gpu: Gpu = None
    consent: Consent


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
