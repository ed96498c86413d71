"""Why the local platform does not start: one line each."""


class LocalError(Exception):
    """The local platform cannot run here."""


class PortInUseError(LocalError):
    """A port that it needs is taken."""


class FolderError(LocalError):
    """Its state folder cannot be used."""


class ServerError(LocalError):
    """An embedded server did not start."""
