"""What can be wrong with text, recordings and services. Each docstring is the sentence a person reads; its code is stable.

`SpeechError` is the input's fault (exit 64, never retried), `ServiceError` something outside it (exit 75, tried again).
"""

from typing import ClassVar

from steps.errors import InputError, TryAgainError


class SpeechError(InputError):
    """The input is at fault."""

    stable_code: ClassVar[str]

    def __init__(self, **details: object) -> None:
        super().__init__(self.stable_code, _sentence(type(self), details))


class ServiceError(TryAgainError):
    """Something outside the input was in the way."""

    stable_code: ClassVar[str]

    def __init__(self, **details: object) -> None:
        super().__init__(self.stable_code, _sentence(type(self), details))


def _sentence(kind: type, details: dict[str, object]) -> str:
    return " ".join((kind.__doc__ or "").split()).format(**details)


class TextEmpty(SpeechError):
    """The text is empty."""

    stable_code = "text_empty"


class TextTooLong(SpeechError):
    """The text has {length} characters; at most {limit} are read at once. Cut it into several requests."""

    stable_code = "text_too_long"


class TextUnspeakable(SpeechError):
    """The text holds nothing that can be spoken: no letter, no number."""

    stable_code = "text_unspeakable"


class LanguageUnsupported(SpeechError):
    """Nothing here speaks {language}; there are {known}."""

    stable_code = "language_unsupported"


class VoiceUnknown(SpeechError):
    """There is no voice {voice}. `python -m speech voices` lists them."""

    stable_code = "voice_unknown"


class VoiceCloningUnavailable(SpeechError):
    """No engine that clones a voice is set up here: {how}."""

    stable_code = "voice_cloning_unavailable"


class SpeedOutOfRange(SpeechError):
    """The speed is {speed}; it can be from {slowest} to {fastest} times the voice's own."""

    stable_code = "speed_out_of_range"


class TextUnreadable(SpeechError):
    """{name} is no text in UTF-8."""

    stable_code = "text_unreadable"


class EngineUnknown(SpeechError):
    """There is no engine {engine}; there are {known}."""

    stable_code = "engine_unknown"


class EngineUnavailable(SpeechError):
    """The engine {engine} is not set up here: {how}."""

    stable_code = "engine_unavailable"


class TtsRefused(SpeechError):
    """The speech server refused the text: {reason}."""

    stable_code = "tts_refused"


class TtsUnreachable(ServiceError):
    """The speech server did not answer: {reason}."""

    stable_code = "tts_unreachable"


class NoSpeech(SpeechError):
    """Nobody can be understood in the recording: it holds silence, noise, music, or speech that is too unclear."""

    stable_code = "no_speech"


class LanguageNotUnderstood(SpeechError):
    """The model {model} does not understand {language}; it knows {known}."""

    stable_code = "language_unsupported"


class ReferenceTooShort(SpeechError):
    """The recording lasts {seconds:.1f} s; a voice needs at least {limit:.0f} s."""

    stable_code = "reference_too_short"


class ReferenceTooLong(SpeechError):
    """The recording lasts {seconds:.0f} s; at most {limit:.0f} s are taken. Cut it."""

    stable_code = "reference_too_long"


class ReferenceRateTooLow(SpeechError):
    """The recording has {rate} samples a second, as a telephone; a voice needs at least {limit}."""

    stable_code = "reference_rate_too_low"


class ReferenceClipped(SpeechError):
    """The recording is overdriven: {share:.1%} of its loud samples stand at the limit. Record it again, less loud."""

    stable_code = "reference_clipped"


class ReferenceWithoutSpeech(SpeechError):
    """Somebody speaks in {share:.0%} of the recording only; at least {limit:.0%} must be speech, without music or noise."""

    stable_code = "reference_without_speech"


class MultipleSpeakers(SpeechError):
    """More than one person speaks in the recording; only the one whose voice it is may be heard."""

    stable_code = "multiple_speakers"


class NotReady(ServiceError):
    """The model is still being loaded."""

    stable_code = "not_ready"


class QueueFull(ServiceError):
    """{limit} texts wait already. Try again in {seconds} s."""

    stable_code = "queue_full"

    def __init__(self, limit: int, seconds: int) -> None:
        super().__init__(limit=limit, seconds=seconds)
        self.seconds = seconds


class TooSlow(ServiceError):
    """The text was not spoken within {seconds:.0f} s, waiting included."""

    stable_code = "synthesis_timeout"


class HistoryInvalid(SpeechError):
    """{name}: not the turns of a conversation ({reason}).
    It takes a JSON list of objects with role ("user" or "assistant") and text."""

    stable_code = "history_invalid"


class ReplyKeyMissing(SpeechError):
    """No language model is set up here: ZHIPU_API_KEY is not set. ZHIPU_BASE_URL names another server than Zhipu's."""

    stable_code = "reply_key_missing"


class ReplyMisconfigured(SpeechError):
    """The language model's settings are wrong: {problems}."""

    stable_code = "reply_misconfigured"


class ReplyKeyRefused(SpeechError):
    """{host} refuses the key in ZHIPU_API_KEY ({reason})."""

    stable_code = "reply_key_refused"


class ReplyQuota(SpeechError):
    """What the account may use at {host} is used up: {said}"""

    stable_code = "reply_quota"


class ReplyModerated(SpeechError):
    """{host} will not answer this: its content filter objects. Put the question another way."""

    stable_code = "reply_moderated"


class ReplyRefused(SpeechError):
    """{host} refuses the request ({status}): {said}"""

    stable_code = "reply_refused"


class ReplyRateLimited(ServiceError):
    """{host} takes no more requests just now: {said}"""

    stable_code = "reply_rate_limited"


class ReplyTimeout(ServiceError):
    """{host} did not {what} within {seconds:g} s."""

    stable_code = "reply_timeout"


class ReplyInterrupted(ServiceError):
    """The answer of {host} broke off in the middle ({reason})."""

    stable_code = "reply_interrupted"


class ReplyFailed(ServiceError):
    """{host} cannot answer ({reason})."""

    stable_code = "reply_failed"


class ReplyEmpty(ServiceError):
    """The answer of {host} holds nothing that can be spoken."""

    stable_code = "reply_empty"
