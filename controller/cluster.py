"""The port to what runs Jobs. Adapters: LocalCluster (processes of this machine) and KubernetesCluster."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol
from uuid import UUID

Raw = dict[str, Any]
"""A Job or pod as the Kubernetes API server gives it."""

TOKEN_KEY = "token"  # noqa: S105 - the key's name inside the Secret
REPLY_KEY = "ZHIPU_API_KEY"
"""The language model's key: the key's name inside its Secret, and the variable that the step finds it in."""
TAIL_LINES = 100


class Cluster(Protocol):
    """Runs Jobs from their manifests. Whoever asks after writing sees what was written."""

    @property
    def slots(self) -> int | None:
        """How many Jobs run at once; None: the cluster does its own queueing."""

    @property
    def at_once(self) -> int:
        """How many calls may be under way at once; more wait."""

    def create(self, manifest: Raw, secret: Mapping[str, str]) -> str:
        """Creates the Job, and a Secret of the same name that belongs to it, and returns the Job's uid.

        Raises JobExistsError when the name is taken.
        """

    def entrust(self, job: str, uid: str, secret: Mapping[str, str]) -> None:
        """Gives the Job its Secret if it has none: its creation was cut short."""

    def get(self, name: str) -> Raw | None:
        """The Job of that name, whosever it is."""

    def jobs(self, request: UUID | None = None) -> list[Raw]:
        """The platform's Jobs, or those labelled with that request."""

    def pods(self, request: UUID) -> list[Raw]:
        """The pods labelled with that request."""

    def delete(self, name: str) -> None:
        """Asks for the end of the Job and of all pods that carry its name; what runs gets SIGTERM and its grace. Does not wait.

        Nothing happens where there is no such thing.
        """

    def tail(self, pod: str, container: str) -> list[str]:
        """The last 100 lines of what a container wrote; none when they are gone."""

    def troubles(self, jobs: Collection[str]) -> dict[str, str]:
        """Why the Jobs of those names have no pod, in the cluster's own words; those of which it says nothing are left out."""

    def held(self, job: str) -> str | None:
        """Why the Job is suspended, in the words of the cluster's queue; None: it does not say."""

    def watch(self, changed: Callable[[UUID], None]) -> None:
        """From now on calls `changed` with the request of every Job or pod that changes. Hints: they may be lost."""

    def age(self) -> float:
        """Seconds since the cluster was last heard from."""

    def close(self) -> None:
        """Ends what this object holds."""
