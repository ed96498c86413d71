"""Why a language model's server said no: by HTTP status, by Zhipu's own codes (docs.bigmodel.cn/cn/api/api-code) and OpenAI's."""

from collections.abc import Mapping

from speech.errors import (
    ReplyFailed,
    ReplyKeyRefused,
    ReplyModerated,
    ReplyQuota,
    ReplyRateLimited,
    ReplyRefused,
)
from steps.errors import StepError

ACCOUNT = {
    "1003": "it has expired",
    "1110": "the account is not active",
    "1111": "there is no such account",
    "1112": "the account is locked",
    "1121": "the account is locked for a violation",
    "1220": "it may not call this interface",
}
"""What is wrong with the key or its account; other codes from 1000 to 1004 mean that the key itself is wrong."""
WRONG_KEY = frozenset({"1000", "1001", "1002", "1004", "invalid_api_key"})
USED_UP = frozenset({"1113", "1304", "1308", "1309", "1310", "1313", "insufficient_quota"})
"""Money or allowance that minutes do not bring back."""
MODERATED = frozenset({"1301", "content_filter", "content_policy_violation"})
CROWDED = frozenset({"1302", "1303", "1305", "1312"})
BROKEN = frozenset({"500", "1120", "1230", "1234"})
LONGEST_SAID = 200
"""Characters of the server's own words that are passed on."""


def refusal(host: str, status: int, body: object, key: str) -> StepError:
    """The error that an answer of `status` with the JSON `body` stands for; status 200 is an error inside a stream.

    `key` never gets into its sentence, whatever the server repeats.
    """
    code, words = _read(body)
    said = _quoted(words, key) or "it does not say why"
    found: StepError
    if code in MODERATED:
        found = ReplyModerated(host=host)
    elif status == 402 or code in USED_UP:
        found = ReplyQuota(host=host, said=said)
    elif status in (401, 403) or code in WRONG_KEY or code in ACCOUNT:
        found = ReplyKeyRefused(host=host, reason=ACCOUNT.get(code, f"HTTP {status}"))
    elif status == 429 or code in CROWDED:
        found = ReplyRateLimited(host=host, said=said)
    elif status in (200, 408) or status >= 500 or code in BROKEN:
        found = ReplyFailed(host=host, reason=f"HTTP {status}: {said}")
    else:
        found = ReplyRefused(host=host, status=f"HTTP {status}", said=said)
    return found


def _read(body: object) -> tuple[str, str]:
    """Code and words of an error's body, in the shapes that servers use."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        return "", error if isinstance(error, str) else ""
    code = next((str(error[name]) for name in ("code", "type") if error.get(name)), "")
    words = next((error[name] for name in ("message", "msg", "detail") if isinstance(error.get(name), str)), "")
    return code, words


def _quoted(words: str, key: str) -> str:
    """The server's words on one line, short, without the key."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in words.replace(key, "…")).split())
    return line if len(line) <= LONGEST_SAID else f"{line[:LONGEST_SAID]}…"
