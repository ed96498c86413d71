"""Which engine speaks, and with which voice when none is named."""

import os
from collections.abc import Callable
from importlib import import_module

from speech.engines.port import Engine
from speech.errors import EngineUnknown, VoiceCloningUnavailable
from steps.errors import InputError

ENGINES = {"kokoro": "Kokoro", "xtts": "Xtts", "http": "HttpTtsCloner"}
"""Module beside this one and its class, in the order in which they are tried."""
CLONING = ("xtts", "http")
DEFAULT_VOICES = {"zh": "zf_xiaoxiao", "en": "af_heart"}
HOW_TO_CLONE = (
    "set GENEFACE_TTS_URL to a server that clones voices; or, for non-commercial use only, install coqui-tts, run "
    "`make weights xtts` and set COQUI_TOS_AGREED=1"
)


def found(name: str | None = None, clones: bool = False) -> Engine:
    """The engine `name`, else the one of GENEFACE_TTS_ENGINE, else the first that is usable here. `clones`: only one that
    clones voices.

    Raises:
        EngineUnknown, EngineUnavailable, InputError `weights_missing`: the engine that is named cannot be used, or kokoro when
            none is named and none can be used.
        VoiceCloningUnavailable: it clones no voices, or none of those here does.
    """
    wanted = name or os.environ.get("GENEFACE_TTS_ENGINE")
    if wanted and wanted not in ENGINES:
        raise EngineUnknown(engine=wanted, known=", ".join(ENGINES))
    if clones and wanted and wanted not in CLONING:
        raise VoiceCloningUnavailable(how=f"{wanted} has only voices that are built in; {HOW_TO_CLONE}")
    if wanted:
        return _made(wanted)
    first: InputError | None = None
    for candidate in CLONING if clones else ENGINES:
        try:
            return _made(candidate)
        except InputError as error:
            first = first or error
    assert first  # noqa: S101 - there are engines
    raise VoiceCloningUnavailable(how=HOW_TO_CLONE) if clones else first


def voice(engine: Engine, language: str) -> str:
    """The voice that speaks `language` when none is named; empty when the engine's server chooses."""
    voices = engine.voices()
    names = [voice.name for voice in voices if voice.language == language] or [voice.name for voice in voices] or [""]
    default = DEFAULT_VOICES.get(language, "")
    return default if default in names else names[0]


def _made(name: str) -> Engine:
    make: Callable[[], Engine] = getattr(import_module(f"speech.engines.{name}"), ENGINES[name]).found
    return make()
