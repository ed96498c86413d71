"""What can be wrong with a video to train on, beside what `media.errors` says."""

from media.clock import FPS
from steps.errors import InputError


def video_too_short(name: str, seconds: float, least: float) -> InputError:
    """Too little of the speaker to learn from."""
    return InputError(
        "video_too_short",
        f"{name}: {seconds:.1f} s with a face; at least {least:.0f} s are needed, and a minute or more is better.",
    )


def frame_rate_too_low(name: str, rate: float, least: float) -> InputError:
    """Lips close for less than a tenth of a second: pictures further apart miss it."""
    return InputError(
        "frame_rate_too_low",
        f"{name}: {rate:.1f} pictures a second; at least {least:.0f} are needed to see lips close. 25 or more are better.",
    )


def scene_cut(name: str, times: list[float]) -> InputError:
    """Two shots in one file, neither of which is most of it."""
    where = ", ".join(f"{time:.1f} s" for time in times[:6])
    return InputError("scene_cut", f"{name}: the picture is cut ({where}). Give one shot without cuts.")


def face_leaves_picture(name: str, where: str) -> InputError:
    """The speaker walks or leans out of the frame."""
    return InputError("face_leaves_picture", f"{name}: the face leaves the picture ({where}). Keep all of it in the frame.")


def face_turned_away(name: str, share: float, where: str) -> InputError:
    """Profiles: half of the mouth cannot be seen."""
    return InputError(
        "face_turned_away",
        f"{name}: the head is turned by more than 35 degrees in {share:.0%} of the frames ({where}). Look towards the camera.",
    )


def mouth_covered(name: str, share: float, where: str) -> InputError:
    """A hand, a microphone, a cup."""
    return InputError(
        "mouth_covered", f"{name}: something covers the mouth in {share:.0%} of the frames ({where}). Keep it in sight."
    )


def frames_unusable(name: str, share: float, where: str) -> InputError:
    """Too little is left to learn from, for several reasons."""
    return InputError(
        "frames_unusable", f"{name}: {share:.0%} of the frames are dark, blurred or otherwise of no use ({where}). Film it again."
    )


def face_does_not_move(name: str) -> InputError:
    """A photo with sound, or somebody who only listens."""
    return InputError(
        "face_does_not_move", f"{name}: the lips do not move; a photo is not enough. Film the person while they speak."
    )


def audio_out_of_sync(name: str, frames: int) -> InputError:
    """Sound and picture are too far apart to be put together safely."""
    later = "after" if frames > 0 else "before"
    return InputError(
        "audio_out_of_sync",
        f"{name}: the sound comes {abs(frames) / FPS:.2f} s ({abs(frames)} frames) {later} the lips. Export the video again.",
    )
