"""Speech: sound and phone times from flite, run as a separate process."""

import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from samples.talker.script import LEAD_IN, Line

RATE = 16_000
FPS = 25
VOICE = "slt"
PACE = "1.06"
SAMPLES_A_FRAME = RATE // FPS
PHONE = re.compile(r"([a-z]+):([0-9.]+)")


@dataclass(frozen=True)
class Phone:
    """One phone with its start and end in seconds; `wait` names the mouth of a pause between lines."""

    name: str
    start: float
    end: float
    wait: str = ""


@dataclass(frozen=True)
class Speech:
    """Mono sound [N] in -1..1 at 16 kHz, a whole number of frames long, and its phones without gaps."""

    samples: NDArray[np.float32]
    phones: tuple[Phone, ...]

    @property
    def frames(self) -> int:
        return len(self.samples) // SAMPLES_A_FRAME


def _spoken(text: str, folder: Path) -> tuple[NDArray[np.float32], list[Phone]]:
    flite = shutil.which("flite")
    if flite is None:
        raise FileNotFoundError("flite is not installed (Debian package 'flite'); it makes the sample talker's voice")
    path = folder / "line.wav"
    command = [flite, "-voice", VOICE, "--setf", f"duration_stretch={PACE}", "-psdur", "-t", text, "-o", str(path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    with wave.open(str(path), "rb") as sound:
        if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (RATE, 1, 2):
            raise ValueError(f"flite's voice {VOICE} was expected to give 16 kHz, mono, 16 bit")
        samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16).astype(np.float32) / np.float32(32768)
    phones, start = [], 0.0
    for name, end in PHONE.findall(told):
        phones.append(Phone(name, start, float(end)))
        start = float(end)
    return samples, phones


def _trimmed(samples: NDArray[np.float32], phones: list[Phone]) -> tuple[NDArray[np.float32], list[Phone]]:
    """Takes the pauses off both ends, so that the script alone decides how long a silence is."""
    spoken = [phone for phone in phones]
    while spoken[0].name == "pau":
        spoken.pop(0)
    while spoken[-1].name == "pau":
        spoken.pop()
    first, last = spoken[0].start, spoken[-1].end
    cut = samples[int(first * RATE) : int(last * RATE)].copy()
    fade = RATE // 100
    cut[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)
    cut[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return cut, [Phone(phone.name, phone.start - first, phone.end - first) for phone in spoken]


def speak(lines: Sequence[Line]) -> Speech:
    """Speaks the lines with their pauses. The room's faint noise (about -66 dB) lies under everything."""
    parts, phones, clock = [np.zeros(round(LEAD_IN.pause * RATE), np.float32)], [], LEAD_IN.pause
    phones.append(Phone("pau", 0.0, clock, LEAD_IN.wait))
    with tempfile.TemporaryDirectory() as folder:
        for line in lines:
            samples, spoken = _trimmed(*_spoken(line.text, Path(folder)))
            phones += [Phone(phone.name, phone.start + clock, phone.end + clock) for phone in spoken]
            clock += len(samples) / RATE
            phones.append(Phone("pau", clock, clock + line.pause, line.wait))
            parts += [samples, np.zeros(round(line.pause * RATE), np.float32)]
            clock += line.pause
    sound = np.concatenate(parts)
    sound = np.concatenate([sound, np.zeros(-len(sound) % SAMPLES_A_FRAME, np.float32)])
    sound *= 0.85 / np.abs(sound).max()
    noise = np.random.default_rng(5).normal(0, 0.0005, len(sound))
    return Speech((sound + noise).astype(np.float32), tuple(phones))
