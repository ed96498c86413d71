"""A Whisper of random numbers in CTranslate2's layout: it loads and answers as the real ones do, and understands nothing."""

import json
import struct
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models

from steps import whisper
from tests.steps.test_weights import as_ctranslate2, header, published, string, variable

TEXT, TIMES = 50257, 1501
"""Tokens of text, the last of which is empty (by that CTranslate2 knows a multilingual one), and of time."""
NAMED = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")


def lay_out(folder: Path) -> Path:
    """Writes the four files into `folder`."""
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    folder.mkdir(parents=True)
    special = ["endoftext", "startoftranscript", *list(_LANGUAGE_CODES)[:99], *NAMED, *(f"{t / 50:.2f}" for t in range(TIMES))]
    tokens = [*(f"t{number}" for number in range(TEXT - 1)), ""] + [f"<|{name}|>" for name in special]
    tokenizer = Tokenizer(models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="t0"))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocabulary.txt").write_text("\n".join(tokens) + "\n", "utf-8")
    settings = {
        "alignment_heads": [[0, 0]],
        "lang_ids": list(range(TEXT + 2, TEXT + 101)),
        "suppress_ids": [],
        "suppress_ids_begin": [],
    }
    (folder / "config.json").write_text(json.dumps(settings), "utf-8")
    (folder / "model.bin").write_bytes(model(len(tokens)))
    return folder


def model(words: int) -> bytes:
    """As steps' tests write it, at the sizes that are fixed for Whisper, with what CTranslate2 wants to know besides."""
    random = np.random.default_rng(3)
    tensors = published()
    for name, shape in {
        "encoder.conv1.weight": (8, 80, 3), "encoder.positional_embedding": (1500, 8),
        "decoder.token_embedding.weight": (words, 8), "decoder.positional_embedding": (448, 8),
    }.items():  # fmt: skip
        tensors[name] = random.normal(size=shape).astype("float16")
    written = as_ctranslate2(tensors)
    count = len(whisper._variables(memoryview(written)))
    flags = {"activation": 3, "alibi": 0, "pre_norm": 1, "scale_embeddings": 0, "start_from_zero_embedding": 0}
    more = [variable(f"decoder/{name}", np.array(value, "int8")) for name, value in flags.items()]
    more += [
        variable(f"decoder/{name}", np.array(value, "int16")) for name, value in (("alignment_heads", 1), ("alignment_layer", -1))
    ]
    body = written[len(header("WhisperSpec", count)) :]
    alias = struct.pack("<I", 1) + string("decoder/projection/weight") + string("decoder/embeddings/weight")
    return header("WhisperSpec", count + len(more)) + body + b"".join(more) + alias
