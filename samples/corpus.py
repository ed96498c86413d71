"""Speech with known mouths, for the generic prior: `python -m samples.corpus FOLDER [--minutes 5]` (Debian: flite, wamerican).

flite's voices read random sentences of English words; their phone times move the talker's rig, as in the sample film, but no
picture is drawn. Each voice speaks at three sizes of the vocal tract (resampled): twelve speakers, each a folder with audio.wav
(16 kHz mono) and landmarks.npz (`points` float32 [T, 478, 3] at 25 a second), which `python -m geneface prior` trains on.
"""

import argparse
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from samples.talker import film, mouth
from samples.talker.rig import Rig
from samples.talker.speech import FPS, PHONE, RATE, SAMPLES_A_FRAME, Phone

WORDS = Path("/usr/share/dict/words")
VOICES = {"kal16": 100.0, "awb": 130.0, "rms": 100.0, "slt": 170.0}
"""flite's voices and their usual pitch in Hz."""
SIZES = ((10, 10), (9, 10), (11, 10))
"""Speed-up of each speaker as a fraction: pitch and formants rise with it."""
FREQUENT = (  # noqa: SIM905 - a list would be ninety lines
    "the of and to a in is you that it he was for on are as with his they I at be this have from or one had by but not what "
    "all were we when your can said there use an each which she do how their if will up other about out many then them these "
    "so some her would make like him into time has look two more write go see number no way could people my than first water "
    "been call who now find long down day did get come made may part"
).split()
FREQUENT_SHARE, COMMA_SHARE = 0.45, 0.12
WAITS = ("rest", "closed", "parted", "rest")
PIXELS_A_UNIT = 16.0
IRISES = 10


def sentence(rng: np.random.Generator, words: list[str]) -> str:
    """8 to 17 words, a good part of them frequent ones."""
    chosen = []
    for _ in range(int(rng.integers(8, 18))):
        pool = FREQUENT if rng.random() < FREQUENT_SHARE else words
        chosen.append(pool[int(rng.integers(len(pool)))] + ("," if rng.random() < COMMA_SHARE else ""))
    return " ".join(chosen) + "."


def spoken(text: str, voice: str, stretch: float, pitch: float) -> tuple[NDArray[np.float32], list[tuple[str, float]]]:
    """flite's sound at 16 kHz and its phones with their ends in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        tuning = ["--setf", f"duration_stretch={stretch:.3f}", "--setf", f"int_f0_target_mean={pitch:.1f}"]
        command = ["flite", "-voice", voice, *tuning, "-psdur", "-t", text, "-o", str(path)]
        told = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
        with wave.open(str(path), "rb") as sound:
            rate = sound.getframerate()
            samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16).astype(np.float32) / np.float32(32768)
    if rate != RATE:
        samples = resample_poly(samples, RATE, rate).astype(np.float32)
    return samples, [(name, float(end)) for name, end in PHONE.findall(told)]


def line(
    rng: np.random.Generator, words: list[str], voice: str, size: tuple[int, int]
) -> tuple[NDArray[np.float32], list[Phone]]:
    """One sentence of a speaker: sound and phones, some of the pauses closed, some parted."""
    stretch, pitch = float(np.clip(rng.normal(1.0, 0.12), 0.75, 1.35)), VOICES[voice] * float(np.exp(rng.normal(0, 0.12)))
    samples, ends = spoken(sentence(rng, words), voice, stretch, pitch)
    faster, base = size
    if faster != base:
        samples = resample_poly(samples, base, faster).astype(np.float32)
    phones, start = [], 0.0
    for name, end in ends:
        wait = WAITS[int(rng.integers(len(WAITS)))] if name == "pau" else ""
        phones.append(Phone(name, start, end * base / faster, wait))
        start = end * base / faster
    return samples, phones


def posed(rig: Rig, controls: NDArray[np.float64]) -> NDArray[np.float32]:
    """The mesh [T, 478, 3] in pixels, head held still, for mouth controls [T, 8]; irises stand at the eyes' corners."""
    still = np.stack([rig.pose(row, 0, 0, 0, 0)[:468] for row in controls])
    points = np.concatenate([still, np.repeat(still[:, 33:34], IRISES, 1)], 1)
    return (points * [PIXELS_A_UNIT, -PIXELS_A_UNIT, -PIXELS_A_UNIT] + [256, 256, 0]).astype(np.float32)


def speaker(folder: Path, voice: str, size: tuple[int, int], minutes: float, seed: int) -> None:
    """Writes one speaker's folder."""
    rng = np.random.default_rng(seed)
    words = [word for word in WORDS.read_text("utf-8").split() if word.isascii() and word.isalpha() and word.islower()]
    rig, sounds, meshes, frames = Rig(), [], [], 0
    while frames < minutes * 60 * FPS:
        samples, phones = line(rng, words, voice, size)
        count = len(samples) // SAMPLES_A_FRAME
        sounds.append(samples[: count * SAMPLES_A_FRAME])
        meshes.append(posed(rig, mouth.curves(tuple(phones), count, int(rng.integers(1 << 30)))))
        frames += count
    sound = np.concatenate(sounds)
    sound = 0.8 * sound / np.abs(sound).max() + rng.normal(0, 0.0005, len(sound))
    folder.mkdir(parents=True, exist_ok=True)
    film.write_wav(folder / "audio.wav", sound.astype(np.float32))
    np.savez(folder / "landmarks.npz", points=np.concatenate(meshes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0, help="of each of the twelve speakers")
    asked = parser.parse_args()
    speakers = [(voice, size) for size in SIZES for voice in VOICES]
    for number, (voice, size) in enumerate(speakers):
        print(f"\rspeaker {number + 1} of {len(speakers)}", end="", flush=True)
        speaker(asked.folder / f"{voice}-{size[0]}", voice, size, asked.minutes, number)
    print()


if __name__ == "__main__":
    main()
