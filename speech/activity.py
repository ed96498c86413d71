"""Where somebody speaks: the Silero VAD that comes with faster-whisper's wheel (MIT), run on sound of any length."""

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from media.clock import SAMPLE_RATE
from speech.engines.port import Samples
from steps.program import check_stop

LONGEST = 28.0
"""Seconds of a stretch; longer speech is cut at its last short pause before that."""
_OPTIONS = {"min_speech_duration_ms": 250, "min_silence_duration_ms": 500, "speech_pad_ms": 400, "max_speech_duration_s": LONGEST}
_BLOCK = 300 * SAMPLE_RATE
"""Samples looked at in one go: the memory that this takes does not grow with the recording."""

Stretch = tuple[int, int]
"""First sample, and the one after the last."""


def library(module: str) -> Any:
    """A module of faster-whisper, without the network and without PyAV.

    It imports PyAV for decoding, whose FFmpeg libraries are kept out of the process (ffmpeg runs as one of its own), so that an
    empty module stands in; not for longer than the import takes, since others ask whether PyAV is there.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    alone = "av" not in sys.modules
    if alone:
        sys.modules["av"] = ModuleType("av")
    try:
        return import_module(module)
    finally:
        if alone:
            del sys.modules["av"]


def stretches(samples: Samples) -> list[Stretch]:
    """Where somebody speaks in `samples` [N], 16 kHz: in order, apart, none longer than 28 s, with up to 0.4 s to either side."""
    vad = library("faster_whisper.vad")
    options = vad.VadOptions(**_OPTIONS)
    found: list[Stretch] = []
    start = 0
    while start < len(samples):
        check_stop()
        block = samples[start : start + _BLOCK]
        inside = [(start + one["start"], start + one["end"]) for one in vad.get_speech_timestamps(block, options)]
        end = start + len(block)
        if end < len(samples) and inside and inside[-1][0] > start and inside[-1][1] >= end:
            end = inside.pop()[0]  # it goes on behind the block: seen whole in the next one
        found += inside
        start = end
    return found


def speech(samples: Samples) -> Samples:
    """The stretches alone, one after the other."""
    return np.concatenate([samples[:0], *(samples[first:last] for first, last in stretches(samples))])
