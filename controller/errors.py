"""What can go wrong while carrying a decision out: each class's docstring is its message unless one is given."""


class ControllerError(Exception):
    """The controller could not do it."""

    code = "controller_error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)
        self.message: str = message or self.__doc__ or ""


class ManifestError(ControllerError):
    """No Job can be made of this request; trying again does not help."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class JobExistsError(ControllerError):
    """A Job of this name exists already."""

    code = "job_exists"


class ClusterError(ControllerError):
    """The cluster did not do it."""

    code = "cluster_error"


class FolderError(ClusterError):
    """The cluster's folder cannot be used."""

    code = "folder_unusable"


class ApiError(ClusterError):
    """The Kubernetes API server refused."""

    code = "cluster_refused"

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"the cluster refused: {message}")
        self.status, self.reason, self.retry_after = status, reason, retry_after

    @property
    def overloaded(self) -> bool:
        """Whether the server is busy or broken, so that it should be asked less."""
        return self.status == 429 or self.status >= 500


class ApiAwayError(ClusterError):
    """The Kubernetes API server does not answer."""

    code = "cluster_away"
