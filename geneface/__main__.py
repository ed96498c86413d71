"""`python -m geneface preprocess | train | render`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geneface.profiles import FEATURES, MOTIONS, PROFILES
from steps.program import run
from steps.progress import Reporter


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m geneface", description="A person's video becomes a model that speaks.")
    commands = top.add_subparsers(dest="command", required=True)
    add = commands.add_parser("preprocess", help="a video becomes a dataset: cut, followed, packed")
    add.add_argument("--video", type=Path)
    add.add_argument("--data", type=Path, help="folder for the dataset")
    add.add_argument("--profile", choices=PROFILES, default="quick", help="changes nothing here: all profiles share one dataset")
    add.add_argument("--describe", action="store_true", help="only say which dataset would come out")
    add = commands.add_parser("train", help="a dataset becomes a model; goes on where an earlier training stopped")
    add.add_argument("--data", type=Path, required=True)
    add.add_argument("--out", type=Path, required=True, help="folder for the model")
    add.add_argument("--profile", choices=PROFILES, default="quick")
    add.add_argument("--epochs", type=int, help="passes over the training frames, instead of the profile's")
    add.add_argument("--renderer", default="plane", help="plane, nerf or gs")
    add.add_argument("--device", default="auto", help="auto, cpu or cuda")
    add.add_argument("--seed", type=int, default=0)
    add.add_argument("--audio_features", choices=FEATURES, help="instead of the profile's")
    add = commands.add_parser("render", help="the model says a recording, or its own held-out tail")
    add.add_argument("--model", type=Path, required=True)
    what = add.add_mutually_exclusive_group(required=True)
    what.add_argument("--audio", type=Path)
    what.add_argument("--split", choices=("val",))
    add.add_argument("--motion", choices=MOTIONS, default="predicted", help="what drives a held-out rendering")
    add.add_argument("--out", type=Path, required=True, help="the mp4")
    add.add_argument(
        "--background", default="source", help="source (paste-back), or full synthesis before plate, #rrggbb or a picture's file"
    )
    add.add_argument("--preview", type=_seconds, metavar="2s", help="only the first seconds of the recording")
    add.add_argument("--subtitles", type=Path, help="an SRT file, drawn into the picture of a recording")
    add.add_argument("--contact_sheet", type=Path, help="also write frames of the result as one PNG")
    add.add_argument("--device", default="auto")
    add.add_argument("--seed", type=int, default=0)
    _add_prior(commands.add_parser("prior", help="the generic model of many speakers that a person's training starts from"))
    return top


def _seconds(words: str) -> float:
    """`2s` or `2` as seconds."""
    value = float(words.removesuffix("s"))
    if not 0 < value <= 3600:
        raise ValueError(words)
    return value


def _add_prior(prior: argparse.ArgumentParser) -> None:
    commands = prior.add_subparsers(dest="prior_command", required=True)
    add = commands.add_parser("train", help="trains a prior on a folder of videos, or of datasets")
    what = add.add_mutually_exclusive_group(required=True)
    what.add_argument("--videos", type=Path, help="folder of videos, one speaker each; preprocessed into FOLDER/datasets first")
    what.add_argument("--data", type=Path, help="folder of datasets (audio.wav, landmarks.npz), as samples/corpus.py makes them")
    add.add_argument("--out", type=Path, required=True, help="the .safetensors file")
    add.add_argument("--audio_features", choices=FEATURES, default="mel")
    add.add_argument("--steps", type=int, default=3000)
    add.add_argument("--device", default="auto")
    add.add_argument("--seed", type=int, default=0)
    add = commands.add_parser("levels", help="measures the levels of Whisper's blocks over a folder of datasets")
    add.add_argument("--data", type=Path, required=True)
    add.add_argument("--out", type=Path, required=True, help="the .npz file")


def _prior(options: argparse.Namespace, reporter: Reporter) -> dict[str, Any]:
    from geneface.devices import device_named  # noqa: PLC0415
    from geneface.motion.generic import prior  # noqa: PLC0415
    from geneface.motion.generic.training import GenericTraining  # noqa: PLC0415
    from geneface.sound.features import features_named  # noqa: PLC0415

    if options.prior_command == "levels":
        return prior.measure_levels(options.data, options.out, reporter)
    corpus = options.data
    if options.videos:
        from geneface import preprocess  # noqa: PLC0415 - the only one with a landmark library

        corpus = preprocess.preprocess_folder(options.videos, reporter)
    settings = GenericTraining(options.steps, max(1, options.steps // 5))
    features, device = features_named(options.audio_features), device_named(options.device)
    return prior.train(corpus, options.out, features, settings, options.seed, device, reporter)


def command(options: argparse.Namespace, reporter: Reporter) -> dict[str, Any]:
    """Carries one command out. Each imports only what it needs."""
    if options.command == "preprocess":
        from geneface import preprocess  # noqa: PLC0415 - the only one with a landmark library

        return preprocess.describe() if options.describe else preprocess.preprocess(options.video, options.data, reporter)
    from geneface.devices import enough_memory  # noqa: PLC0415

    with enough_memory():
        return _on_device(options, reporter)


def _on_device(options: argparse.Namespace, reporter: Reporter) -> dict[str, Any]:
    """The commands that compute with torch."""
    if options.command == "train":
        from geneface import train  # noqa: PLC0415

        wanted = train.Options(
            PROFILES[options.profile], options.epochs, options.device, options.seed, options.audio_features, options.renderer
        )
        return train.train(options.data, options.out, wanted, reporter)
    if options.command == "prior":
        return _prior(options, reporter)
    from geneface import render  # noqa: PLC0415

    rest = (options.out, options.seed, options.device, reporter, options.background)
    if options.split:
        report = render.render_held_out(options.model, options.motion, *rest)
    else:
        report = render.render_audio(options.model, options.audio, *rest, options.preview, options.subtitles)
    if options.contact_sheet:
        render.write_sheet(options.out, options.contact_sheet)
        report["contact_sheet"] = str(options.contact_sheet)
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    arguments_parser = parser()
    options = arguments_parser.parse_args(arguments)
    if options.command == "preprocess" and not options.describe and not (options.video and options.data):
        arguments_parser.error("preprocess needs --video and --data (or --describe)")
    return run(lambda reporter: command(options, reporter))


if __name__ == "__main__":
    sys.exit(main())
