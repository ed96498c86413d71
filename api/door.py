"""What workers and the API tell each other: the bodies and answers of the workers' door."""

import math
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from api.bodies import LARGEST, Sha256, Whole

SAID = 200_000
"""Characters of a question or a reply, at most."""


def clean(value: Any) -> Any:
    """`value` as JSON that every reader takes: no NaN or infinities (null), no NUL or lone surrogates in strings ("?")."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.replace("\0", "?").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {clean(name): clean(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [clean(inner) for inner in value]
    return value


def _below(name: str) -> str:
    if any(part in (".", "..") for part in name.split("/")):
        raise ValueError("must not hold . or .. as a folder")
    return name


Path = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", max_length=300, examples=["model/model.json"]),
    AfterValidator(_below),
]
"""Below a folder, with no way out of it."""
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]+$", max_length=128)]
Step = Literal["preprocess", "train", "render", "evaluate", "transcribe", "synthesize", "converse", "enrol"]
Text = Annotated[str, BeforeValidator(clean), Field(max_length=1000)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(clean)]
Number = Annotated[Whole, Field(ge=0, le=2**31 - 1)]
Finite = Annotated[float, BeforeValidator(clean)]


class Body(BaseModel):
    """What a worker sends. Fields that this version does not know are left aside: images may be newer than the API."""

    model_config = ConfigDict(extra="ignore")

    run: Word = Field(description="The pod's UID")


class File(BaseModel):
    """A file with what it is checked by."""

    name: Path
    size: Annotated[Whole, Field(ge=0, le=LARGEST)]
    sha256: Sha256


class DatasetName(BaseModel):
    """Which dataset would be taken instead of preprocessing."""

    version: Number
    options_hash: Word


class ClaimBody(Body):
    """A run wants to do a step."""

    step: Step
    dataset: DatasetName | None = None


class CheckpointFiles(BaseModel):
    """Where to resume from; names are below `checkpoint/`."""

    name: str
    step: int
    files: list[File]


class ClaimAnswer(BaseModel):
    """The attempt is this run's: what it has to know."""

    request: UUID
    attempt: int
    kind: str
    avatar: str | None
    spec: dict[str, Any]
    steps: list[str]
    inputs: list[File]
    dataset: list[File] | None
    checkpoint: CheckpointFiles | None
    published: bool = Field(description="The result is out already: nothing is left to do")
    report_seconds: float = Field(description="Report no more often than this")


class LinksBody(Body):
    """Which files the run wants to read and write."""

    get: Annotated[list[Path], Field(max_length=1000)] = []
    put: Annotated[list[File], Field(max_length=1000)] = []


class PutLink(BaseModel):
    """Where to PUT a file, with these headers."""

    url: str
    headers: dict[str, str]


class LinksAnswer(BaseModel):
    """Links by name."""

    get: dict[str, str]
    put: dict[str, PutLink]
    expires_in: int = Field(description="Seconds")


class ReportBody(Body):
    """How far the run is, and what its step has said since the last report."""

    step: Step
    seq: Number = Field(description="Counts the step's reports; one that is sent again takes the first one's place")
    stage: Text | None = None
    progress: Annotated[float, Field(ge=0, le=1)] | None = Field(None, description="Over the whole Job")
    eta_seconds: Annotated[float, Field(ge=0, le=1e9)] | None = None
    metrics: JsonObject = Field({}, description="Current figures; kept with the lines that hold them")
    lines: Annotated[list[JsonObject], Field(max_length=10_000)] = []


class ReportAnswer(BaseModel):
    """Whether to go on."""

    stop: bool = Field(description="The request is being cancelled: save and end")


class DatasetMade(DatasetName):
    """The dataset that was made."""

    video_sha256: Sha256
    options: JsonObject = {}


class DatasetBody(Body):
    """A dataset is whole."""

    what: Literal["dataset"]
    step: Step
    dataset: DatasetMade
    files: Annotated[list[File], Field(min_length=1, max_length=1000)]


class CheckpointName(BaseModel):
    """A checkpoint by its folder and its place in the training."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=128)]
    step: Annotated[Whole, Field(ge=0, le=2**31 - 1)]


class CheckpointBody(Body):
    """A checkpoint is whole."""

    what: Literal["checkpoint"]
    step: Step
    checkpoint: CheckpointName
    files: Annotated[list[File], Field(min_length=1, max_length=1000)]


class Turn(BaseModel):
    """What a dialogue says of itself, and its conversation goes on with."""

    model_config = ConfigDict(extra="allow")

    question: Annotated[str, BeforeValidator(clean), Field(max_length=SAID)]
    reply: Annotated[str, BeforeValidator(clean), Field(max_length=SAID)]


class Result(BaseModel):
    """What the request made: outputs by name, each one of `files`."""

    model_config = ConfigDict(extra="allow")

    outputs: dict[Word, Path]
    scores: JsonObject | None = None
    turn: Turn | None = None
    voice: JsonObject | None = Field(None, description="Of an enrolment: what was measured")


class ResultBody(Body):
    """The result is whole: this ends the request."""

    what: Literal["result"]
    step: Step
    result: Result
    files: Annotated[list[File], Field(min_length=1, max_length=1000)]


PublishBody = Annotated[DatasetBody | CheckpointBody | ResultBody, Field(discriminator="what")]


class PublishAnswer(BaseModel):
    """Whether it counts; not, when another run's dataset was first."""

    accepted: bool
