"""An answer that is still being written becomes sentences that can be spoken: thoughts, code and markup left out."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

SHORTEST = 12
"""Width of the shortest sentence handed out by itself (a Chinese character counts two): engines speak scraps badly."""

_CLOSERS = r"[\"'”’»」』）)\]】》*_`~]"
_END = re.compile(
    rf"[。！？…；]++{_CLOSERS}*+(?=[\s\S])"
    rf"|[!?]++{_CLOSERS}*+(?=[^\w!?.])"
    rf"|(?P<word>[^\W\d_]{{3,}})\.{_CLOSERS}*+(?=\s)"
    r"|\n(?=[\s\S])"
)
"""Where a sentence may end; the character after it must be there, as closing marks may follow in the next piece."""
_ABBREVIATIONS = frozenset({
    "approx", "apr", "aug", "capt", "col", "corp", "dec", "dept", "est", "feb", "fig", "figs", "gen", "gov", "hon", "inc", "jan",
    "ltd", "mar", "messrs", "mrs", "nov", "oct", "prof", "rev", "sen", "sep", "sept", "sgt", "univ", "vol", "vols",
})  # fmt: skip
_WIDE = re.compile(r"[\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\uff00-\uff60]")

_MARKUP = tuple(
    (re.compile(pattern, re.MULTILINE), instead)
    for pattern, instead in (
        (r"!\[[^\]\n]*\]\([^)\n]*\)", ""),  # pictures
        (r"\[([^\]\n]+)\]\([^)\n]*\)", r"\1"),  # links
        (r"^[ \t|:]*(?:[-*_=][ \t|:]*){3,}$", ""),  # rules, and the rule under a table's head
        (r"^[ \t]*(?:#{1,6}|[-*+•])[ \t]+", ""),  # headings, lists
        (r"^[ \t]*(?:>[ \t]?)+", ""),  # quotations
        (r"</?[A-Za-z][^<>\n]*>", " "),  # HTML
        (r"\\[*_~`]|\*{2,}|_{2,}|~{2,}|`+", ""),
        (r"(?<![0-9A-Za-z*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![0-9A-Za-z*])", r"\1"),
        (r"(?<![0-9A-Za-z_])_(?=\S)([^_\n]+?)(?<=\S)_(?![0-9A-Za-z_])", r"\1"),
        (r"^(\s*)[*_](?=\S)|(?<=\S)[*_]$", r"\1"),  # one half of a pair that lies in two sentences
        (r"^[ \t]*\|[ \t]*|[ \t]*\|[ \t]*$", ""),  # a table's edges
        (r"(?<=[^\s|])[ \t]*\|[ \t]*(?=[^\s|])", ", "),  # its cells
        (r"\\([\\{}\[\]()#+\-.!|])", r"\1"),
    )
)


class Sentence(NamedTuple):
    """A stretch of the answer."""

    text: str
    """With the white space before it: all of them joined are the answer."""
    ended: bool
    """False for a last one without its end."""


def without(pieces: Iterable[str], opening: str, closing: str) -> Iterator[str]:
    """The pieces less what stands between the marks, however marks and pieces lie; what is never closed is left out whole."""
    held, inside = "", False
    for piece in pieces:
        held += piece
        while (mark := closing if inside else opening) in held:
            before, _, held = held.partition(mark)
            if before and not inside:
                yield before
            inside = not inside
        begun = max(length for length in range(len(mark)) if held.endswith(mark[:length]))
        sure, held = held[: len(held) - begun], held[len(held) - begun :]
        if sure and not inside:
            yield sure
    if held and not inside:
        yield held


def sentences(pieces: Iterable[str]) -> Iterator[Sentence]:
    """Cuts a stream at the ends of sentences and lines, each handed out as soon as its end is certain."""
    held = ""
    for piece in without(pieces, "```", "```"):
        held += piece
        while end := _end(held):
            yield Sentence(plain(held[:end]), ended=True)
            held = held[end:]
    if held.strip():
        yield Sentence(plain(held), ended=_whole(held.rstrip()))


def plain(text: str) -> str:
    """The text without markdown and HTML: what is to be read aloud of it."""
    for pattern, instead in _MARKUP:
        text = pattern.sub(instead, text)
    return text


def _end(text: str) -> int:
    """Length of the first sentence of `text`; 0 when none has certainly ended."""
    for match in _END.finditer(text):
        word = match["word"]
        if word and word.lower() in _ABBREVIATIONS:
            continue
        said = text[: match.end()]
        if len(said.strip()) + len(_WIDE.findall(said)) >= SHORTEST:
            return match.end()
    return 0


def _whole(text: str) -> bool:
    """Whether a sentence ends where `text` does."""
    return any(match.end() == len(text) for match in _END.finditer(f"{text} "))
