"""XTTS v2 (Coqui) through coqui-tts 0.28: clones a voice from a recording of it. Its weights, and what they make, are for
non-commercial use only, so it speaks where COQUI_TOS_AGREED=1 says that someone agreed to that.

coqui-tts is no dependency of ours; HOW says how it comes here. Two places of its loading are gone round: its `_load_checkpoint`
writes the published checkpoint anew where it lies, and its `load_audio` needs the FFmpeg libraries in this process.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np

from media import audio
from speech.clause import Clause
from speech.engines.ends import bounds
from speech.engines.port import Samples, Voice
from speech.errors import EngineUnavailable, LanguageUnsupported, VoiceUnknown
from steps import weights
from steps.program import check_stop

RATE = 24_000
REFERENCE_RATE = 22_050
REFERENCE_SECONDS = 30.0
"""Of a recording, what the network listens to."""
CONDITION_SECONDS = 6
"""Of that at once."""
REFERENCES = 16
"""Voices whose latents are kept."""
CODES = {"zh": "zh-cn", "en": "en"}
"""The network's own names of languages."""
CHARACTERS = {"zh": 82, "en": 250}
"""What it says at once without leaving something out."""
SLOWEST = {"zh": 0.8, "en": 0.3}
"""Seconds a character over which it has babbled on, which it does after short sentences."""
SAMPLING = {"temperature": 0.65, "repetition_penalty": 5.0, "stream_chunk_size": 20}
TERMS = "Made with XTTS v2 under the Coqui Public Model License: for non-commercial use only."
HOW = (
    "install it beside this program (uv pip install 'coqui-tts[codec,zh]==0.28.0' torchaudio), run `make weights xtts`, and set "
    "COQUI_TOS_AGREED=1 if you agree to the Coqui Public Model License, which allows non-commercial use only"
)


class Xtts:
    """An Engine. One clause is spoken at a time."""

    name = "xtts"
    rate = RATE
    languages = frozenset(CODES)
    clones = True
    terms = TERMS

    def __init__(self, folder: Path) -> None:
        """`folder` holds model.pth, config.json, vocab.json and speakers_xtts.pth as published.

        Raises EngineUnavailable when coqui-tts cannot be imported.
        """
        self._network = _network(folder)
        self._speakers: dict[str, Any] = self._network.speaker_manager.name_to_id
        self._latents = dict[tuple[Path, int], tuple[Any, Any]]()
        self._turn = threading.Lock()

    @classmethod
    def found(cls) -> Self:
        """With the weights of weights.toml. Raises EngineUnavailable, InputError `weights_missing`."""
        if os.environ.get("COQUI_TOS_AGREED") != "1":
            raise EngineUnavailable(engine=cls.name, how=HOW)
        return cls(weights.path("xtts").parent)

    def voices(self) -> Sequence[Voice]:
        """The studio speakers of the publisher; they speak every language."""
        return [Voice(name, "", "") for name in self._speakers]

    def speak(self, clause: Clause, speaker: str | Path, speed: float) -> Samples:
        """The clause's sound; the same words in the same voice sound the same.

        Raises VoiceUnknown, LanguageUnsupported, StoppedError, and MediaError for an unreadable or silent recording.
        """
        if clause.language not in CODES:
            raise LanguageUnsupported(language=clause.language, known=", ".join(sorted(CODES)))
        with self._turn:
            voice = self._voice(speaker)
            texts = _within(clause.spoken, CHARACTERS[clause.language])
            sounds = [self._say(text, clause.language, voice, speed) for text in texts]
        return np.concatenate(sounds)

    def _voice(self, speaker: str | Path) -> tuple[Any, Any]:
        """Latents for the network's two halves."""
        if isinstance(speaker, str):
            if speaker not in self._speakers:
                raise VoiceUnknown(voice=speaker)
            known = self._speakers[speaker]
            return known["gpt_cond_latent"], known["speaker_embedding"]
        key = (speaker, speaker.stat().st_mtime_ns)
        if key not in self._latents:
            while len(self._latents) >= REFERENCES:
                del self._latents[next(iter(self._latents))]
            self._latents[key] = self._listened(speaker)
        return self._latents[key]

    def _listened(self, recording: Path) -> tuple[Any, Any]:
        """What `get_conditioning_latents` computes, of sound that we have decoded."""
        torch: Any = import_module("torch")
        samples = audio.read(recording, REFERENCE_RATE, seconds=REFERENCE_SECONDS)
        audio.require_sound(recording, samples, REFERENCE_RATE)
        heard = torch.from_numpy(samples)[None].to(self._network.device)
        with torch.inference_mode():
            embedding = self._network.get_speaker_embedding(heard, REFERENCE_RATE)
            latents = self._network.get_gpt_cond_latents(
                heard, REFERENCE_RATE, length=int(REFERENCE_SECONDS), chunk_length=CONDITION_SECONDS
            )
        return latents, embedding

    def _say(self, text: str, language: str, voice: tuple[Any, Any], speed: float) -> Samples:
        """One pass, and another when the first babbles; the shorter of the two."""
        longest = (2.0 + SLOWEST[language] * len(text)) / speed
        found = np.empty(0, np.float32)
        for seed in (0, 1):
            samples = self._sampled(text, language, voice, speed, seed)
            first, last = bounds(samples, RATE)
            if not seed or last - first < len(found):
                found = samples[first:last]
            if len(found) <= longest * RATE:
                break
        return found

    def _sampled(self, text: str, language: str, voice: tuple[Any, Any], speed: float, seed: int) -> Samples:
        torch: Any = import_module("torch")
        torch.manual_seed(seed)
        chunks = [np.empty(0, np.float32)]
        with torch.inference_mode():
            for chunk in self._network.inference_stream(text, CODES[language], *voice, speed=speed, **SAMPLING):
                check_stop()
                chunks.append(chunk.float().cpu().numpy().reshape(-1))
        return np.nan_to_num(np.concatenate(chunks))


def _network(folder: Path) -> Any:
    try:
        torch: Any = import_module("torch")
        models, configs = import_module("TTS.tts.models.xtts"), import_module("TTS.tts.configs.xtts_config")
    except ImportError as error:
        raise EngineUnavailable(engine=Xtts.name, how=f"{HOW} ({' '.join(str(error).split())})") from None
    config = configs.XttsConfig()
    config.load_json(str(folder / "config.json"))
    network = models.Xtts(config)
    network._load_checkpoint = _checkpoint
    network.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
    return network.to("cuda" if torch.cuda.is_available() else "cpu")


def _checkpoint(path: Path) -> dict[str, Any]:
    """The tensors of the published checkpoint, which holds a configuration of classes that have moved beside them."""
    torch: Any = import_module("torch")
    models: Any = import_module("TTS.tts.models.xtts")
    with models._legacy_safe_globals():
        tensors: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)["model"]
    return tensors


def _within(text: str, limit: int) -> Iterator[str]:
    """The text in pieces of at most `limit` characters, cut at punctuation, else at a space, else anywhere."""
    while len(text) > limit:
        marks = [place + 1 for place, symbol in enumerate(text[:limit]) if symbol in "，。！？；：、,.!?;:"]
        spaces = [place + 1 for place, symbol in enumerate(text[:limit]) if symbol == " "]
        cut = (marks or spaces or [limit])[-1]
        yield text[:cut].strip()
        text = text[cut:].strip()
    if text:
        yield text
