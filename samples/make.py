"""Makes the sample talker anew: `python -m samples.make` (some ten minutes on one core; needs Debian's `flite`).

Writes talker.mp4, talker.landmarks.npz and sentence.wav beside this file, or below `--folder`.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from samples.talker import behaviour, film, mouth, script, speech, truth
from samples.talker.scene import SIZE, Scene


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, help="where the files go")
    parser.add_argument("--quality", type=int, default=23, help="x264's crf")
    return parser.parse_args()


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    asked = arguments()
    film.write_wav(asked.folder / "sentence.wav", speech.speak(script.SENTENCE).samples)
    spoken = speech.speak(script.FILM)
    controls = mouth.curves(spoken.phones, spoken.frames)
    lively = behaviour.behave(spoken.frames)
    scene = Scene()
    points: list[NDArray[np.float64]] = []

    def frames() -> Iterator[NDArray[np.uint8]]:
        for t in range(spoken.frames):
            frame = scene.draw(controls[t], lively, t)
            points.append(frame.points)
            print(f"\rframe {t + 1} of {spoken.frames}", end="", flush=True)
            yield frame.picture

    film.write_film(asked.folder / "talker.mp4", frames(), SIZE, spoken.samples, asked.quality)
    truth.write(asked.folder / "talker.landmarks.npz", np.stack(points))
    print()


if __name__ == "__main__":
    main()
