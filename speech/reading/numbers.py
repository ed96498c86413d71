"""English numbers in words, as they are said in the United States (no `and`)."""

from collections.abc import Iterable

from speech.reading.lists import listed

_SMALL = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen"
)
_TENS = listed("_ _ twenty thirty forty fifty sixty seventy eighty ninety")
_GROUPS = ("", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth",
}  # fmt: skip
_LARGEST = 10 ** (3 * len(_GROUPS)) - 1


def cardinal(number: int) -> str:
    """1234 → one thousand two hundred thirty-four; beyond quintillions digit by digit."""
    if number < 0:
        return f"minus {cardinal(-number)}"
    if number > _LARGEST:
        return digits(str(number))
    if number < 1000:
        return _below_thousand(number)
    words, group = list[str](), 0
    while number:
        number, part = divmod(number, 1000)
        if part:
            words.insert(0, f"{_below_thousand(part)} {_GROUPS[group]}".strip())
        group += 1
    return " ".join(words)


def ordinal(number: int) -> str:
    """23 → twenty-third."""
    head, dash, last = cardinal(number).rpartition("-") if number % 100 > 20 and number % 10 else ("", "", cardinal(number))
    front, space, word = last.rpartition(" ")
    regular = word[:-1] + "ieth" if word.endswith("y") else word + "th"
    return f"{head}{dash}{front}{space}{_ORDINALS.get(word, regular)}"


def year(number: int) -> str:
    """1999 → nineteen ninety-nine, 2005 → two thousand five, 1905 → nineteen oh five, 1900 → nineteen hundred."""
    century, rest = divmod(number, 100)
    if not 1100 <= number < 10_000 or (century % 10 == 0 and rest < 10) or number % 1000 == 0:
        return cardinal(number)
    if not rest:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {two_digits(rest)}"


def two_digits(number: int) -> str:
    """5 → oh five; 15 → fifteen."""
    return f"oh {cardinal(number)}" if number < 10 else cardinal(number)


def digits(written: str) -> str:
    """One by one: 007 → zero zero seven."""
    return " ".join(_SMALL[int(digit)] for digit in written if digit.isdecimal())


def decimal(written: str) -> str:
    """`1,234.50` → one thousand two hundred thirty-four point five zero; `.5` → zero point five; `007` digit by digit."""
    whole, _, fraction = written.replace(",", "").partition(".")
    words = digits(whole) if len(whole) > 1 and whole.startswith("0") else cardinal(int(whole or "0"))
    return f"{words} point {digits(fraction)}" if fraction else words


def plural(word: str) -> str:
    """`ninety` → nineties, `foot` → feet."""
    head, space, last = word.rpartition(" ")
    irregular = {"foot": "feet", "inch": "inches", "penny": "pence", "yuan": "yuan", "yen": "yen", "won": "won"}
    if last in irregular:
        last = irregular[last]
    elif last.endswith("hertz"):
        pass
    elif last.endswith("y"):
        last = last[:-1] + "ies"
    else:
        last += "es" if last.endswith(("x", "s", "ch")) else "s"
    return f"{head}{space}{last}"


def spaced(words: Iterable[str]) -> str:
    """The words that are there, one space between them."""
    return " ".join(word for word in words if word)


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    below = _SMALL[rest] if rest < 20 else _TENS[tens] + (f"-{_SMALL[ones]}" if ones else "")
    if not hundreds:
        return below
    return f"{_SMALL[hundreds]} hundred" + (f" {below}" if rest else "")
