"""How a file says that a model made it: words for people, keys for machines.

Three places, so that each kind of reader finds one: the `comment` tag; an `AIGC` tag holding JSON as GB 45438-2025 asks
for; an XMP packet with IPTC's `DigitalSourceType` (https://cv.iptc.org/newscodes/digitalsourcetype), in the `uuid` box
where the XMP specification (part 3) puts it for mp4.
"""

import json
import struct
from pathlib import Path

COMMENT = "AI-generated: this video was made by a model of the person it shows"

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

_PRODUCER = "geneface-platform"
_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">
<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>
<xmp:CreatorTool>{_PRODUCER}</xmp:CreatorTool>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


def tags() -> dict[str, str]:
    """The container's tags of a generated video."""
    return {"comment": COMMENT, "AIGC": json.dumps({"Label": "1", "ContentProducer": _PRODUCER})}


def is_generated(found: dict[str, str]) -> bool:
    """Whether a file's tags (`MediaInfo.tags`) say that a model made it."""
    return "AIGC" in found or found.get("comment", "").startswith("AI-generated")


def append_xmp(path: Path) -> None:
    """Adds the XMP packet to a finished mp4. A box at the end moves nothing else."""
    packet = _XMP.encode()
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", 8 + 16 + len(packet), b"uuid") + _XMP_UUID + packet)
