"""Containers by their first bytes. What is inside is for the step that decodes it."""

FORMATS = ("mp4", "matroska", "avi", "mpegts", "wav", "mp3", "flac", "ogg")

_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
_IMAGE_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis")
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"file ", b"<MPD", b"[playlist]")
_BOM = b"\xef\xbb\xbf"


def container(head: bytes) -> str | None:
    """One of FORMATS, or None. `head`: the file's first bytes, some KiB of them if there are so many."""
    if head[4:8] in _MP4_BOXES:
        return None if head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS else "mp4"
    if head[:4] in (b"RIFF", b"RF64"):
        return {b"AVI ": "avi", b"WAVE": "wav"}.get(head[8:12])
    fixed = {b"\x1aE\xdf\xa3": "matroska", b"fLaC": "flac", b"OggS": "ogg"}
    if head[:4] in fixed:
        return fixed[head[:4]]
    if _is_transport_stream(head):
        return "mpegts"
    return "mp3" if _is_mp3(head) else None


def is_playlist(head: bytes) -> bool:
    """Whether it is text that names other files (HLS, concat, DASH): never media here."""
    return head.removeprefix(_BOM).lstrip().startswith(_PLAYLISTS) or b"<MPD" in head[:1024]


def _is_transport_stream(head: bytes) -> bool:
    """Sync byte 0x47 every 188 bytes, or every 192 after a 4-byte time code (ISO/IEC 13818-1; BDAV)."""
    for start, size in ((0, 188), (4, 192)):
        places = range(start, min(len(head), start + 5 * size), size)
        if len(places) >= 3 and all(head[place] == 0x47 for place in places):
            return True
    return False


def _is_mp3(head: bytes) -> bool:
    """An ID3v2 tag, or two frames of MPEG audio layer III, the second where the first one ends (ISO/IEC 11172-3, 13818-3)."""
    if head[:3] == b"ID3":
        return len(head) > 10
    size = _frame_size(head[:4])
    return size is not None and _frame_size(head[size : size + 4]) is not None


def _frame_size(header: bytes) -> int | None:
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer, bitrate, rate = header[1] >> 3 & 3, header[1] >> 1 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return None
    first = version == 3
    kilobits = (_RATES_1 if first else _RATES_2)[bitrate - 1]
    hertz = (44_100, 48_000, 32_000)[rate] >> (0 if first else 1 if version == 2 else 2)
    return (144 if first else 72) * kilobits * 1000 // hertz + (header[2] >> 1 & 1)


_RATES_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_RATES_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
