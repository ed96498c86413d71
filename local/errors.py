"""Why the local platform does not start: one line each."""


class LocalError(Exception):
    """The local platform cannot run here."""


class PortInUseError(LocalError):
    """A port that it needs is taken."""


class FolderError(LocalError):
    """Its state folder cannot be used."""


class AlreadyRunningError(FolderError):
    """A platform already runs on the state folder."""


class ServerError(LocalError):
    """An embedded server did not start."""


class LookError(LocalError):
    """Doctor could not look at something; the message is what the attempt said last."""
