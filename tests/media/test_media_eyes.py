from pathlib import Path

import numpy as np
import pytest

from media import eyes, faces, mouth, video
from media.mesh import runs
from samples.talker import truth
from samples.talker.behaviour import behave

SECONDS = 20
TALKER = Path(__file__).parents[2] / "samples/talker.mp4"


@pytest.fixture(scope="module")
def opened():
    """Apertures of the sample talker's first seconds."""
    points = faces.landmarks(video.frames(TALKER, seconds=SECONDS)).points
    return eyes.aperture(mouth.pose_free(points, mouth.reference_shape(points)))


def test_every_scripted_blink_is_found_and_no_other(opened):
    whole = len(truth.read(TALKER.with_suffix(".landmarks.npz"))[0])
    shut = behave(whole).blink[: len(opened)]
    scripted = [start for start, _ in runs(shut > 0.5)]
    found = eyes.find(opened)
    assert len(scripted) > 4
    assert len(found) == len(scripted)
    assert all(abs(event.start - start) <= 2 for event, start in zip(found, scripted, strict=True))
    assert np.corrcoef(opened.mean(1), -shut)[0, 1] > 0.95
    blinking = eyes.statistics(opened)
    assert blinking.count == len(scripted)
    assert blinking.per_minute == pytest.approx(len(scripted) * 60 / SECONDS, abs=0.01)
    assert 0.1 < blinking.seconds < 0.3
    assert blinking.closed < 0.3 < blinking.open


def lids(*blinks, frames=300, level=0.3):
    signal = np.full(frames, level, np.float32)
    for at, length in blinks:
        signal[at : at + length] = 0.03
    return np.repeat(signal[:, None], 2, 1)


def test_what_is_no_blink():
    assert eyes.find(lids()) == []
    assert eyes.find(lids((100, 30))) == [], "closed for more than a second"
    assert eyes.find(lids((0, 4), (297, 3))) == [], "cut off by the clip's ends"
    wink = lids((100, 5))
    wink[:, 1] = 0.3
    assert eyes.find(wink) == []
    lowered = lids()
    lowered[150:] *= 0.5
    assert eyes.find(lowered) == [], "looking down"
    still = eyes.statistics(lids())
    assert (still.count, still.seconds, still.closed) == (0, 0.0, 0.0) and still.open == pytest.approx(0.3)


def test_a_double_blink_is_two():
    assert [event.start for event in eyes.find(lids((100, 4), (107, 4)))] == [100, 107]
