"""A network with Kokoro's inputs, outputs and inner tensor of durations, a kilobyte long, and voices for it.

A letter lasts four frames of a tone at the pitch of its voice, everything else two frames of silence; ends six.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from speech.engines.kokoro import DURATIONS, VOCABULARY

LETTER, OTHER, END = 4, 2, 6
"""Frames of a token."""
VOICES = {"af_heart": 0.05, "zf_xiaoxiao": 0.08, "am_adam": 0.03}
"""Radians a sample."""

FLOAT, INT64 = 1, 7


def write(folder: Path) -> Path:
    """Lays `kokoro/…` below `folder`, as `make weights kokoro` does."""
    (folder / "kokoro").mkdir(parents=True)
    (folder / "kokoro/kokoro-v1.0.int8.onnx").write_bytes(model())
    styles = {name: np.full((510, 256), pitch / 256, np.float32) for name, pitch in VOICES.items()}
    save_file(styles, folder / "kokoro/voices.safetensors")
    return folder


def model() -> bytes:
    """The network as an ONNX file."""
    frames, loud = np.full(178, OTHER, np.float32), np.zeros(178, np.float32)
    for symbol, token in VOCABULARY.items():
        if symbol.isalpha():
            frames[token], loud[token] = LETTER, 0.1
    frames[0] = END
    constants = {
        "frames": frames, "loud": loud, "one": np.float32(1), "zero": np.float32(0), "size": np.float32(600),
        "flat": np.array([-1]), "axis": np.array([1]), "along": np.array(1), "wide": np.array([1, 600]),
    }  # fmt: skip
    nodes = [
        node("Gather", ["frames", "tokens"], "wanted"),
        node("Div", ["wanted", "speed"], "scaled"),
        node("Round", ["scaled"], "rounded"),
        node("Clip", ["rounded", "one"], DURATIONS),
        node("CumSum", [DURATIONS, "along"], "edges"),
        node("ReduceSum", [DURATIONS], "total", keepdims=0),
        node("Mul", ["total", "size"], "count"),
        node("Range", ["zero", "count", "one"], "time"),
        node("Range", ["zero", "total", "one"], "frame"),
        node("Unsqueeze", ["frame", "axis"], "column"),
        node("GreaterOrEqual", ["column", "edges"], "past"),
        node("Cast", ["past"], "passed", to=INT64),
        node("ReduceSum", ["passed", "axis"], "place", keepdims=0),
        node("Reshape", ["tokens", "flat"], "row"),
        node("Gather", ["row", "place"], "token"),
        node("Gather", ["loud", "token"], "heard"),
        node("Unsqueeze", ["heard", "axis"], "once"),
        node("Expand", ["once", "wide"], "often"),
        node("Reshape", ["often", "flat"], "level"),
        node("ReduceSum", ["style"], "pitch", keepdims=0),
        node("Mul", ["time", "pitch"], "phase"),
        node("Sin", ["phase"], "tone"),
        node("Mul", ["tone", "level"], "audio"),
    ]
    graph = [*(field(1, one) for one in nodes), field(2, b"tiny"), *(field(5, tensor(*item)) for item in constants.items())]
    graph += [
        field(11, value("tokens", INT64, 1, "n")),
        field(11, value("style", FLOAT, 1, 256)),
        field(11, value("speed", FLOAT, 1)),
    ]
    graph.append(field(12, value("audio", FLOAT, "samples")))
    return number(1, 8) + field(8, number(2, 17)) + field(7, b"".join(graph))


def node(kind: str, inputs: list[str], output: str, **attributes: int) -> bytes:
    """NodeProto with integer attributes."""
    own = b"".join(field(5, field(1, name.encode()) + number(3, given) + number(20, 2)) for name, given in attributes.items())
    return b"".join(field(1, name.encode()) for name in inputs) + field(2, output.encode()) + field(4, kind.encode()) + own


def tensor(name: str, values: np.ndarray) -> bytes:
    """TensorProto."""
    kind = INT64 if np.asarray(values).dtype == np.int64 else FLOAT
    sizes = b"".join(number(1, size) for size in np.shape(values))
    return sizes + number(2, kind) + field(8, name.encode()) + field(9, np.asarray(values).tobytes())


def value(name: str, kind: int, *sizes: int | str) -> bytes:
    """ValueInfoProto of a tensor."""
    dims = b"".join(field(1, number(1, size) if isinstance(size, int) else field(2, size.encode())) for size in sizes)
    return field(1, name.encode()) + field(2, field(1, number(1, kind) + field(2, dims)))


def field(place: int, content: bytes) -> bytes:
    """A protobuf field of bytes."""
    return varint(place << 3 | 2) + varint(len(content)) + content


def number(place: int, content: int) -> bytes:
    """A protobuf field of an integer."""
    return varint(place << 3) + varint(content)


def varint(given: int) -> bytes:
    out = bytearray()
    while given > 127:
        out.append(given & 127 | 128)
        given >>= 7
    return bytes([*out, given])
