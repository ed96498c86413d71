"""What a step hands over: uploaded first, published last."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from worker.checkpoints import files_below
from worker.commands import Publication
from worker.errors import RefusedError
from worker.lines import Line
from worker.patience import Patience
from worker.protocol import File
from worker.transfer import Transfer
from worker.words import CommandError

Answer = TypeVar("Answer")

TRIES = 3
"""Of publishing files that the API does not find; each uploads them anew."""


def paths(publication: Publication) -> dict[str, Path]:
    """Every file by the name that it gets. Raises CommandError when the step did not make what it should have."""
    found = dict(publication.files)
    missing = []
    for prefix, folder in publication.folders.items():
        files = {prefix + path.relative_to(folder).as_posix(): path for path in files_below(folder)}
        found |= files
        missing += [] if files else [prefix]
    missing += [name for name, path in found.items() if not path.is_file()]
    if missing:
        raise CommandError(1, "output_missing", f"the step ended well but did not make {', '.join(missing)}")
    return found


def scores(publication: Publication) -> Line | None:
    """The evaluator's JSON. That of files becomes `{"predictions": [...]}`, in their order, and is written to `scores.json`."""
    if not publication.scores:
        return None
    found = [json.loads(path.read_text(encoding="utf-8")) for path in publication.scores]
    target = publication.files["scores.json"]
    if publication.scores == (target,):
        return dict(found[0])
    merged = {"predictions": found}
    target.write_text(json.dumps(merged, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    return merged


def kept(publication: Publication) -> dict[str, Line]:
    """By name, what of the step's own words stands in the result."""
    found = {name: (one, json.loads(one.path.read_text(encoding="utf-8"))) for name, one in publication.kept.items()}
    return {name: {key: said.get(key) for key in one.fields or said} for name, (one, said) in found.items()}


def publish(call: Callable[[Sequence[File]], Answer], found: dict[str, Path], transfer: Transfer, patience: Patience) -> Answer:
    """Uploads, then calls `call` with the files. What the API does not find (`object_missing`) is uploaded anew."""
    for tried in range(1, TRIES + 1):
        files = transfer.send(found, patience)
        try:
            return call(files)
        except RefusedError as error:
            if error.code != "object_missing" or tried == TRIES:
                raise
    raise AssertionError("unreachable")
