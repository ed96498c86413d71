"""What a training needs beside its inputs: the dataset that may be there already, the checkpoint to resume from."""

from collections.abc import Callable, Sequence
from pathlib import Path

from steps.errors import TryAgainError
from worker import commands
from worker.door import Door
from worker.lines import Line
from worker.patience import Patience
from worker.protocol import Claim, DatasetKey, File

Fetch = Callable[[dict[Path, File]], None]
Run = Callable[[Sequence[str]], Line | None]


class Training:
    """The dataset and the checkpoint of one training in the folder `work`; `own` is the worker's own folder in it."""

    def __init__(self, claim: Claim, door: Door, work: Path, own: Path, patience: Patience, fetch: Fetch, run: Run) -> None:
        self._claim = claim
        self._door = door
        self._work = work
        self._own = own
        self._patience = patience
        self._fetch = fetch
        self._run = run

    def dataset_key(self) -> DatasetKey:
        """What the dataset is found by, asked of geneface once a pod."""
        kept = self._own / "dataset-key.json"
        if not kept.exists():
            key = DatasetKey.model_validate(self._run(commands.describe(self._claim)))
            kept.write_text(key.model_dump_json())
        return DatasetKey.model_validate_json(kept.read_text())

    def published_dataset(self) -> tuple[File, ...] | None:
        """The files of the dataset, if one is published."""
        return self._door.claim(self._patience, self.dataset_key()).dataset

    def fetch_dataset(self) -> None:
        """Brings the dataset, unless this pod has made it."""
        if (self._work / "dataset").is_dir():
            return
        files = self.published_dataset()
        if files is None:
            raise TryAgainError("dataset_missing", "the dataset that preprocessing found or made is no longer there")
        self._fetch_folder(files, "dataset/", self._work / "dataset")

    def fetch_checkpoint(self) -> str | None:
        """Brings the checkpoint to resume from and returns its name.

        Only into an empty place: what this pod's training has left is newer than what was published of it.
        """
        checkpoint = self._claim.checkpoint
        folder = self._work / "model/checkpoints"
        if checkpoint is None or any(folder.glob("[!.]*")):
            return None
        self._fetch_folder(checkpoint.files, "checkpoint/", folder / checkpoint.name)
        return checkpoint.name

    def _fetch_folder(self, files: Sequence[File], prefix: str, folder: Path) -> None:
        """The whole folder appears at once."""
        fresh = self._own / "incoming" / folder.name
        self._fetch({fresh / file.name.removeprefix(prefix): file for file in files})
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh.rename(folder)
