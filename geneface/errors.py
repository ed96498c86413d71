"""What can be wrong with a video to train on, beside what `media.errors` says."""

from steps.errors import InputError


def video_too_short(name: str, seconds: float, least: float) -> InputError:
    """Too little of the speaker to learn from."""
    return InputError(
        "video_too_short",
        f"{name}: {seconds:.1f} s with a face; at least {least:.0f} s are needed, and a minute or more is better.",
    )
