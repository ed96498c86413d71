"""`python -m speech transcribe | synthesize | converse | enrol | voices | serve`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from steps.program import run

COMMANDS = {
    "transcribe": ("transcription", "a recording becomes text with word times"),
    "synthesize": ("synthesis", "text becomes a recording"),
    "converse": ("conversation", "a question becomes a spoken answer"),
    "enrol": ("enrolment", "a recording of a person becomes a voice"),
    "voices": ("catalogue", "the voices that are built in"),
    "serve": ("service", "speech over HTTP"),
}
"""Each is a module with `options(parser)` and `command(arguments, reporter)`, imported when it is asked for."""


def main(words: Sequence[str] | None = None) -> int:
    """The command."""
    given = list(sys.argv[1:] if words is None else words)
    parser = argparse.ArgumentParser(prog="python -m speech", description="Text, voices, questions and answers.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, what) in COMMANDS.items():
        add = commands.add_parser(name, help=what, description=what)
        if name in given[:1]:  # what the others need is not loaded
            import_module(f"speech.{module}").options(add)
    arguments = parser.parse_args(given)
    command: Callable[..., dict[str, Any]] = import_module(f"speech.{COMMANDS[arguments.command][0]}").command
    return run(lambda reporter: command(arguments, reporter))


if __name__ == "__main__":
    sys.exit(main())
