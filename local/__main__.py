"""python -m local up | demo | doctor"""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from local import demo, doctor, speech
from local.client import Client
from local.errors import AlreadyRunningError, LocalError
from local.platform import Platform
from local.settings import LocalSettings
from local.state import StateFolder
from store import logs
from store.errors import StoreError
from store.settings import explain


def main() -> int:
    """0 done, 1 it failed (one line on stderr), 2 the settings are wrong."""
    arguments = _parser().parse_args()
    console = Console()
    try:
        settings = LocalSettings()
        if arguments.command == "doctor":
            return doctor.run(settings, console)
        logs.configure("info", StateFolder(settings.home).path / "platform.log")  # the terminal is for people
        return _demo(settings, console, arguments) if arguments.command == "demo" else _up(settings, console)
    except ValidationError as error:
        print("\n".join(explain(error)), file=sys.stderr)
        return 2
    except (LocalError, StoreError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _up(settings: LocalSettings, console: Console) -> int:
    platform = Platform(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: platform.stop())
    with platform:
        console.print(
            f"The platform is up: {platform.url} (API: {platform.url}/docs). Ctrl-C ends it.", highlight=False, soft_wrap=True
        )
        with _spoken(settings, console):
            platform.watch()
    console.print("The platform has ended.")
    return 0


@contextmanager
def _spoken(settings: LocalSettings, console: Console) -> Iterator[None]:
    """The TTS service, where it can be; whatever is wrong with it is one line."""
    tts = speech.service(settings, StateFolder(settings.home).path)
    if isinstance(tts, speech.TtsService):
        try:
            tts.start()
        except OSError as error:
            tts = f"No TTS service: {error.strerror}."
    said = tts if isinstance(tts, str) else f"The TTS service will be ready in some seconds: {tts.url} (POST /tts; {tts.log})."
    console.print(said, highlight=False, soft_wrap=True)
    try:
        yield
    finally:
        if isinstance(tts, speech.TtsService):
            tts.stop()


def _demo(settings: LocalSettings, console: Console, arguments: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    platform = Platform(settings)
    with ExitStack() as stack:
        try:
            stack.enter_context(platform)
            console.print(f"The platform is up: {platform.url}", highlight=False)
            client = Client(platform.url, platform.look_after)
        except AlreadyRunningError:
            console.print(f"Using the platform that is up: {platform.url}", highlight=False)
            client = Client(platform.url)
        demo.run(client, console, settings.home / "demo", arguments.video, arguments.audio, arguments.text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description="The whole platform on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the platform and stay until Ctrl-C")
    shown = commands.add_parser("demo", help="train the sample talker, film it saying something new, score it")
    shown.add_argument("--video", type=Path, help="your own video of one speaker, instead of the sample talker")
    said = shown.add_mutually_exclusive_group()
    said.add_argument("--audio", type=Path, help="your own recording, instead of the sample sentence")
    said.add_argument("--text", help="what is said, Chinese or English, to be read out")
    commands.add_parser("doctor", help="what is there, what is not, and what that costs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
