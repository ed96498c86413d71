"""Opens mediapipe's face detector, face mesh and selfie segmentation, quietly and on the CPU (models inside the mediapipe
0.10.21 wheel, Apache-2.0).

The wheel brings its own libEGL and libGLESv2 and is linked to nothing else that a bare Debian lacks; without a GPU the
graphs run on XNNPACK. matplotlib is imported by mediapipe for plots that nobody here draws: an empty module stands in.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from media.quiet import quiet

os.environ.setdefault("GLOG_minloglevel", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MEDIAPIPE_DISABLE_GPU", "1")


def detector(min_confidence: float) -> Any:
    """A full-range face detector (faces down to about 5 % of the picture's longer side)."""
    with quiet():
        opened = _module("face_detection").FaceDetection(model_selection=1, min_detection_confidence=min_confidence)
        opened.process(np.zeros((64, 64, 3), np.uint8))
    return opened


def mesh(tracking: bool) -> Any:
    """A face mesh of 478 points (468 and the irises) for one face; with `tracking`, each frame starts from the one before."""
    with quiet():
        opened = _module("face_mesh").FaceMesh(static_image_mode=not tracking, max_num_faces=1, refine_landmarks=True)
        opened.process(np.zeros((64, 64, 3), np.uint8))
    return opened


def segmentation() -> Any:
    """A segmentation of people from what is around them, for pictures of any shape (the model sees 256×256)."""
    with quiet():
        opened = _module("selfie_segmentation").SelfieSegmentation(model_selection=0)
        opened.process(np.zeros((64, 64, 3), np.uint8))
    return opened


@cache
def _module(name: str) -> ModuleType:
    with _no_plots():
        return importlib.import_module(f"mediapipe.python.solutions.{name}")


@contextmanager
def _no_plots() -> Iterator[None]:
    names = ("matplotlib", "matplotlib.pyplot")
    if "matplotlib" in sys.modules:
        yield
        return
    plots, package = ModuleType(names[1]), ModuleType(names[0])
    package.pyplot = plots  # type: ignore[attr-defined]
    sys.modules.update(zip(names, (package, plots), strict=True))
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)
