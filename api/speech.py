"""What speech needs that may not be there: an engine that clones, a language model's key, pretrained files.

Said when something is asked for, and not by a Job that has waited for its turn.
"""

from collections.abc import Iterable
from pathlib import Path

from api.errors import ReplyKeyMissingError, VoiceCloningUnavailableError, WeightsMissingError
from api.settings import NO_GPU, Settings

LISTENING = "listening"
"""To a recording: what transcribes."""

DRAWING = "drawing"
"""Chinese characters into a picture."""

WEIGHTS = {
    DRAWING: {"subtitle-font": "fonts/NotoSansSC_500Medium.ttf"},
    LISTENING: {"faster-whisper-base": "faster-whisper-base/model.bin"},
    "kokoro": {"kokoro": "kokoro/kokoro-v1.0.int8.onnx"},
    "xtts": {"xtts": "xtts_v2/model.pth"},
}
"""Names of weights.toml and their files, by what needs them."""


_KOKORO = {
    "af": "alloy aoede bella heart jessica kore nicole nova river sarah sky",
    "am": "adam echo eric fenrir liam michael onyx puck santa",
    "bf": "alice emma isabella lily",
    "bm": "daniel fable george lewis",
    "ef": "dora",
    "em": "alex santa",
    "ff": "siwis",
    "hf": "alpha beta",
    "hm": "omega psi",
    "if": "sara",
    "im": "nicola",
    "jf": "alpha gongitsune nezumi tebukuro",
    "jm": "kumo",
    "pf": "dora",
    "pm": "alex santa",
    "zf": "xiaobei xiaoni xiaoxiao xiaoyi",
    "zm": "yunjian yunxi yunxia yunyang",
}
KOKORO = [f"{kind}_{name}" for kind, names in _KOKORO.items() for name in names.split()]
"""Its voices. First letter: a and b speak English, z Chinese, the others more; second letter: gender."""

_FIRST_IDEOGRAPH = "\u2e80"


def check(
    settings: Settings, *, speaks: bool = False, listens: bool = False, replies: bool = False, clones: bool = False,
    draws: str | None = None,
) -> None:  # fmt: skip
    """Raises ReplyKeyMissingError, VoiceCloningUnavailableError, WeightsMissingError for what a request does. `draws`: the text
    of its subtitles, where they are burnt in and known.
    """
    if replies and not settings.reply_available:
        raise ReplyKeyMissingError(
            "no language model is set up that could answer: set ZHIPU_API_KEY where the platform runs (on Kubernetes, the Secret "
            "that GENEFACE_REPLY_SECRET names) and, for the API, GENEFACE_REPLY_AVAILABLE=true"
        )
    if clones and (how := _cloning_lacks(settings)):
        raise VoiceCloningUnavailableError(f"no engine that speaks with a person's voice is set up here: {how}")
    uses = {
        settings.tts_engine: speaks, LISTENING: listens, DRAWING: draws is not None and max(draws, default="") >= _FIRST_IDEOGRAPH
    }  # fmt: skip
    if lacking := _lacking(settings.weights_dir, [use for use, wanted in uses.items() if wanted]):
        names = " ".join(lacking)
        raise WeightsMissingError(f"{names} not in {settings.weights_dir}: `make weights {names}` brings what is missing")


def built_in(settings: Settings) -> list[str]:
    """Names of the voices that the engine has by itself; none: they are not known here."""
    return KOKORO if settings.tts_engine == "kokoro" else []


def gpu(settings: Settings, asked: str | None) -> str | None:
    """The GPU class that a request which only speaks waits for: none by itself, where the engine would leave the GPU idle."""
    return asked or (None if settings.tts_engine == "xtts" else NO_GPU)


def _cloning_lacks(settings: Settings) -> str | None:
    """What is to be set; None: nothing."""
    if settings.tts_engine == "kokoro":
        return (
            "kokoro has its built-in voices alone. Set GENEFACE_TTS_ENGINE to xtts (with COQUI_TOS_AGREED=1, and "
            "`make weights xtts`) or to http (with GENEFACE_TTS_URL, a server of POST /tts)"
        )
    if settings.tts_engine == "xtts" and not settings.coqui_tos_agreed:
        return "xtts wants COQUI_TOS_AGREED=1, by which you agree to the terms of its weights (no commercial use)"
    return None


def _lacking(folder: Path | None, wanted: Iterable[str]) -> list[str]:
    if folder is None:
        return []
    return [name for use in wanted for name, file in WEIGHTS.get(use, {}).items() if not (folder.expanduser() / file).is_file()]
