"""`python -m worker STEP`."""

import argparse
import sys

from pydantic import ValidationError

from worker.commands import STEPS
from worker.main import main
from worker.settings import Settings


def _arguments() -> str:
    parser = argparse.ArgumentParser(
        prog="python -m worker",
        description="Runs one step of a Job: claims, fetches its inputs, runs its commands, publishes.",
    )
    parser.add_argument("step", choices=STEPS)
    return str(parser.parse_args().step)


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "GENEFACE_" + "_".join(str(part) for part in problem["loc"]).upper()
            sys.stderr.write(f"{name}: {problem['msg']}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    step = _arguments()
    raise SystemExit(main(_settings(), step))
