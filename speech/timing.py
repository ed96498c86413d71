"""Times of the words of a clause whose engine does not tell them."""

import numpy as np

from speech.clause import Clause, Word
from speech.engines.ends import HOP, heard
from speech.engines.port import Samples
from speech.reading.phonemes import spelled


def shared(clause: Clause, samples: Samples, rate: int) -> tuple[Word, ...]:
    """The clause's words, each given as much of the time in which something is heard as it has phonemes. Pauses within the
    clause fall between words.
    """
    words = spelled(clause)
    counts = np.array([max(1, sum(symbol.isalpha() for symbol in word.phonemes)) for word in words], float)
    loud = np.flatnonzero(heard(samples, rate))
    if not len(loud) or not len(counts):
        return tuple(Word(word.text, 0.0, 0.0) for word in words)
    edges = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()]) * len(loud)
    starts = loud[np.minimum(np.round(edges[:-1]).astype(int), len(loud) - 1)] * HOP
    ends = (loud[np.maximum(np.round(edges[1:]).astype(int) - 1, 0)] + 1) * HOP
    ends = np.minimum(np.maximum(starts, ends), len(samples) / rate)
    return tuple(Word(word.text, float(start), float(end)) for word, start, end in zip(words, starts, ends, strict=True))
