"""What is not spoken is taken out of a text: markup, control characters, emoji; forms of one character become one form.

Letters and digits stay in their order; a Markdown link keeps its words and loses its address.
"""

import html
import re
import unicodedata

from speech.reading.lists import set_of

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3007\U00020000-\U0003134f"
"""Chinese characters, as inside of a regular expression's brackets; 〇 counts."""
LATIN = "A-Za-zÀ-ÖØ-öø-ɏ\u1e00-\u1eff"

_NAME = r"[A-Za-z][\w:.-]*"
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s<>"'=]+)"""
_TAG = re.compile(rf"<(/?)({_NAME})((?:\s+{_NAME}\s*=\s*{_VALUE})*)\s*(/?)>")
_HIDDEN = re.compile(r"<!--.*?-->|<\?.*?\?>|<!DOCTYPE[^>]*>|<(script|style)\b[^>]*>.*?</\1\s*>", re.S | re.I)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.S)
_BLOCKS = set_of("article blockquote body div footer h1 h2 h3 h4 h5 h6 head header html li ol p section speak table title tr ul")
_LINES = set_of("br break hr s sentence")
_INLINE = set_of(
    "a abbr audio b big cite code em emphasis font i img ins kbd label lang mark phoneme pre prosody q samp say-as small span "
    "strong sub sup td th token u var voice w"
)
_EMOJI = (
    "\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\U0001f000-\U0001f2ff\u2600-\u27bf\u2b00-\u2bff"
    "\u2190-\u21ff\u2300-\u23ff\u2500-\u25ff\u3030\u303d\u3297\u3299"
)
_JOINERS = "\u200d\ufe0e\ufe0f\u20e3"
_PICTURE = f"[{_EMOJI}][{_EMOJI}{_JOINERS}]*"
_PICTURES = re.compile(_PICTURE)
_JOINED = re.compile(f"(?<=[{HAN}])[ \t]*{_PICTURE}[ \t]*(?=[{HAN}])")
_LOOSE = re.compile(f"[{_JOINERS}]")
_KEYCAP = re.compile("([0-9#*])\ufe0f?\u20e3")
_BEFORE_MARK = re.compile(r"[ \t]+([,.!?;:，。！？；：、](?!\d))")
_ONE_FORM = re.compile(
    "[\uff02-\uff07\uff0a\uff0b\uff0d-\uff19\uff1c-\uff1e\uff20-\uff5e\ufb00-\ufb06\U0001d400-\U0001d7ff\u2080-\u2089"
    "\u2160-\u2188\u2460-\u2473\u3380-\u33df\u2000-\u200a\u3000\u00a0\u202f\u205f]"
)
"""Full-width letters, digits and signs (but no marks that end a clause), ligatures, letters of mathematics, Roman and ringed
numbers, squared units, kinds of space."""
_RAISED = re.compile("(?<=[0-9])[\u2070\u00b9\u2074-\u2079]+")
_MARKDOWN = (
    (re.compile(r"```[^\n`]*\n?|`"), ""),
    (re.compile(r"!?\[([^\]\n]*)\]\(\s*<?(?:https?:|mailto:|/|#|\./)[^)\s]*(?:\s+\"[^\"\n]*\")?\s*\)"), r"\1"),
    (re.compile(r"^[ \t]{0,3}(?:#{1,6}[ \t]+|>[ \t]?|[-*+•·▪‣][ \t]+)", re.M), ""),
    (re.compile(r"^[ \t]*(?:[-*_][ \t]*){3,}$", re.M), ""),
    (re.compile(r"^[ \t]*\|?(?:[ \t]*:?-{2,}:?[ \t]*\|)+(?:[ \t]*:?-{2,}:?[ \t]*)?$", re.M), ""),
    (re.compile(r"\*\*|__|~~"), ""),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]*\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<!\w)_(?=\S)([^_\n]*\S)_(?!\w)"), r"\1"),
    (re.compile(r"[ \t]*\|[ \t]*"), ", "),
)  # fmt: skip


def cleaned(text: str) -> str:
    """The text as it is shown: no markup, no emoji, no control characters; newlines end lines, blank lines paragraphs."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = html.unescape(_without_tags(text))
    text = "".join(_visible(character) for character in text)
    text = _RAISED.sub(lambda found: f"^{unicodedata.normalize('NFKC', found[0])}", text)
    text = _ONE_FORM.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    text = _without_pictures(text)
    text = re.sub(r"[ \t]+", " ", text)
    for pattern, kept in _MARKDOWN:
        text = pattern.sub(kept, text)
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r" ?\n ?", "\n", text).strip()


def _without_tags(text: str) -> str:
    """`<` begins a tag where a known name or an attribute follows, or where the same name is closed; else it is a sign."""
    if "<" not in text:
        return text
    text = _CDATA.sub(r"\1", _HIDDEN.sub("", text))
    closed = {found[2].lower() for found in _TAG.finditer(text) if found[1]}

    def replaced(found: re.Match[str]) -> str:
        name = found[2].lower()
        if name in _BLOCKS:
            return "\n\n"
        if name in _LINES:
            return "\n"
        markup = name in _INLINE or name in closed or found[3] or found[4] or ":" in name
        return (" " if name in ("td", "th") else "") if markup else found[0]

    return _TAG.sub(replaced, text)


def _visible(character: str) -> str:
    """The character, or what stands for it: nothing for control and zero-width ones and holes in Unicode, newlines for breaks."""
    if character in "\n\u200d":
        return character
    if character in "\x0b\x0c\x85\u2028\u2029":
        return "\n"
    if character == "\t":
        return " "
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    return "" if category in ("Cc", "Cf", "Cs", "Co", "Cn") else character


def _without_pictures(text: str) -> str:
    text = _KEYCAP.sub(r"\1", text)
    if _PICTURES.search(text):
        text = _BEFORE_MARK.sub(r"\1", _PICTURES.sub(" ", _JOINED.sub("", text)))
    return _LOOSE.sub("", text)
