"""Lists of words as they are easiest to read: in one line, blanks between them."""


def listed(words: str) -> list[str]:
    """The words in their order."""
    return words.split()


def set_of(words: str) -> frozenset[str]:
    """The words as a set."""
    return frozenset(words.split())
