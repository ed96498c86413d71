"""What can be wrong with a media file. Each docstring is the sentence a person reads; its code is stable.

All are InputErrors (exit 64) but `DiskFull` and `Interrupted`, which are worth another try (exit 75).
"""

from typing import ClassVar

from steps.errors import InputError, TryAgainError


class MediaError(InputError):
    """{name}: the file is at fault."""

    stable_code: ClassVar[str]

    def __init__(self, name: str, **details: object) -> None:
        sentence = " ".join((type(self).__doc__ or self.stable_code).split())
        super().__init__(self.stable_code, sentence.format(name=name, **details))


class FileMissing(MediaError):
    """{name}: there is no such file."""

    stable_code = "file_missing"


class FileEmpty(MediaError):
    """{name}: the file holds 0 bytes; the upload was probably cut off."""

    stable_code = "file_empty"


class UnsupportedMedia(MediaError):
    """{name}: not a video or sound file that can be read here ({reason}).
    Use mp4, mov, mkv, webm, avi, mpeg-ts, wav, mp3, flac or ogg."""

    stable_code = "unsupported_media"


class UnsupportedPicture(MediaError):
    """{name}: not a picture that can be read here ({reason}). Use png, jpeg or bmp."""

    stable_code = "unsupported_picture"


class MediaTruncated(MediaError):
    """{name}: the file is cut off or damaged ({reason}). Copy or export it again."""

    stable_code = "media_truncated"


class MediaTooLarge(MediaError):
    """{name}: {what} is over the limit of {limit}."""

    stable_code = "media_too_large"


class TooManyStreams(MediaError):
    """{name}: the file holds more than {limit} streams."""

    stable_code = "too_many_streams"


class VideoMissing(MediaError):
    """{name}: the file holds no picture track."""

    stable_code = "video_missing"


class AudioMissing(MediaError):
    """{name}: the file holds no sound track."""

    stable_code = "audio_missing"


class AudioEmpty(MediaError):
    """{name}: the sound track holds no samples."""

    stable_code = "audio_empty"


class AudioSilent(MediaError):
    """{name}: nothing can be heard on the sound track; was the microphone muted?"""

    stable_code = "audio_silent"


class DiskFull(TryAgainError):
    """The disk is full."""

    def __init__(self, name: str) -> None:
        super().__init__("disk_full", f"{name} could not be written: the disk is full")


class Interrupted(TryAgainError):
    """ffmpeg was ended from outside (out of memory, or the machine is stopping)."""

    def __init__(self) -> None:
        super().__init__("ffmpeg_ended", "ffmpeg was ended from outside (out of memory, or the machine is stopping)")


class NoFaceDetected(MediaError):
    """{name}: no face was found. One person should look at the camera, well lit."""

    stable_code = "no_face_detected"


class MultipleFaces(MediaError):
    """{name}: more than one face is to be seen ({share:.0%} of the looked-at frames). Only the speaker may be in the picture."""

    stable_code = "multiple_faces"


class FaceMissingInFrames(MediaError):
    """{name}: no face in {missing} of {total} frames ({seconds}). Cut these parts out, or keep the face in the picture."""

    stable_code = "face_missing_in_frames"


class FaceTooSmall(MediaError):
    """{name}: the face is only {width:.0f} pixels wide; it needs at least {limit}. Go closer to the camera."""

    stable_code = "face_too_small"
