"""The command `voices`."""

import argparse
from dataclasses import asdict
from typing import Any

from speech.engines import choice
from steps.progress import Reporter


def options(parser: argparse.ArgumentParser) -> None:
    """The words of `voices`."""
    parser.add_argument("--engine", choices=choice.ENGINES, help="by default the one that speaks when none is named")


def command(arguments: argparse.Namespace, reporter: Reporter) -> dict[str, Any]:
    """The engine's built-in voices, and what it can do."""
    del reporter
    engine = choice.found(arguments.engine)
    return {
        "engine": engine.name,
        "languages": sorted(engine.languages),
        "clones": engine.clones,
        "terms": engine.terms,
        "voices": [asdict(voice) for voice in engine.voices()],
    }
