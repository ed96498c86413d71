"""English text as it is read out: numbers, dates, times, money, units, abbreviations, symbols and addresses in words.

wetext's English grammar is not used: version 0.1.8 fails on two thirds of random strings of digits and marks, and reads 24/7 as
a fraction and 555-1234 as a range.
"""

import re
from collections.abc import Callable

from speech.reading.lists import listed
from speech.reading.numbers import cardinal, decimal, digits, ordinal, plural, spaced, two_digits, year
from speech.reading.units import CURRENCIES, SCALES, UNITS, alternatives, measured, money

_MONTHS = listed("January February March April May June July August September October November December")
_MONTH = (
    r"(?P<month>January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\b\.?)"
)
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_START = r"(?<![\w.,])"
_END = r"(?![\w]|[.,]\d)"
_TO = r"\s?[-–—~～]\s?"
_ABBREVIATIONS = {
    "Dr.": "Doctor", "Mr.": "Mister", "Mrs.": "Missus", "Ms.": "Miz", "Prof.": "Professor", "Jr.": "Junior", "Sr.": "Senior",
    "Gen.": "General", "Gov.": "Governor", "Sen.": "Senator", "Capt.": "Captain", "Lt.": "Lieutenant", "Sgt.": "Sergeant",
    "Col.": "Colonel", "Rev.": "Reverend", "Hon.": "Honorable", "Mt.": "Mount", "Ave.": "Avenue", "Blvd.": "Boulevard",
    "Rd.": "Road", "vs.": "versus", "vs": "versus",
    "e.g.": "for example", "E.g.": "For example", "I.e.": "That is", "i.e.": "that is", "etc.": "et cetera.",
    "cf.": "compare",
    "approx.": "approximately", "Inc.": "Incorporated", "Ltd.": "Limited", "Corp.": "Corporation", "Co.": "Company",
    "Dept.": "Department", "dept.": "department", "est.": "established", "Fig.": "Figure", "fig.": "figure", "Vol.": "Volume",
    "vol.": "volume", "Ch.": "Chapter", "Eq.": "Equation", "w/o": "without", "w/": "with", "b/c": "because",
    "et al.": "and others",
    "a.k.a.": "also known as", "N/A": "not applicable", "n/a": "not applicable", "min.": "minutes", "max.": "maximum",
    "24/7": "twenty-four seven", "9/11": "nine eleven", "50/50": "fifty-fifty", "50-50": "fifty-fifty", "10/10": "ten out of ten",
}  # fmt: skip
_SYMBOLS = {
    "&": "and", "@": "at", "%": "percent", "+": "plus", "=": "equals", "<": "less than", ">": "greater than", "≤": "at most",
    "≥": "at least", "≠": "does not equal", "≈": "about", "×": "times", "÷": "divided by", "±": "plus or minus",
    "√": "the square root of",
    "∞": "infinity", "°": "degrees", "§": "section", "©": "copyright", "€": "euros", "£": "pounds", "$": "dollars", "¥": "yuan",
    "−": "minus", "∑": "sum", "π": "pi", "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "θ": "theta",
    "λ": "lambda", "μ": "mu", "µ": "micro", "σ": "sigma", "φ": "phi", "ω": "omega", "Δ": "delta", "Σ": "sigma", "Ω": "omega",
    "#": "number",
    "^": "to the power of", "№": "number",
}  # fmt: skip
_FRACTIONS = {
    "½": "1/2",
    "⅓": "1/3",
    "⅔": "2/3",
    "¼": "1/4",
    "¾": "3/4",
    "⅕": "1/5",
    "⅛": "1/8",
    "⅜": "3/8",
    "⅝": "5/8",
    "⅞": "7/8",
}
_POWERS = {"²": " squared", "³": " cubed"}
_ROMANS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_RULERS = (
    "Henry|Louis|Elizabeth|George|Charles|Edward|James|William|Richard|Paul|Benedict|Napoleon|Alexander|Catherine|Philip|Frederick"
    "|Wilhelm|Nicholas|Pius|Leo|Francis|Ivan"
)
_PARTS = "Chapter|Part|Volume|Section|Act|Scene|Phase|Type|Class|War|Book|Appendix|Article|Unit|Level|Stage|Super Bowl"
_LABELS = "[Rr]oom|[Ff]light|[Bb]us|[Ee]xtension|[Ss]uite|[Aa]partment|[Aa]pt|[Rr]oute|[Hh]ighway|[Gg]ate"
_CODES = "[Cc]ode|[Pp][Ii][Nn]|[Pp]asscode|[Pp]assword|[Zz]ip|ZIP|[Ee]xt|[Ee]nding in|[Aa]ccount|[Oo]rder"

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str] | str]


def read(text: str) -> str:
    """The text in words; letters that are words already stay as they are."""
    stop = "." if text.rstrip().endswith(".") else ""
    for pattern, words in _RULES:
        text = pattern.sub(words, text)
    text = re.sub(r"\s+([,.!?;:…)\]”，。！？；：、])", r"\1", re.sub(r"[ \t]+", " ", text)).strip()
    return text + stop if text[-1:].isalnum() else text


def address(host: str, path: str, dot: str, slash: str) -> str:
    """A web address: its host and path; a path that nobody could follow by ear (over 40 characters) is left away."""
    if len(path) > 40:
        path = ""
    words = re.sub(r"[.]", f" {dot} ", host + re.sub(r"/+", f" {slash} ", path.rstrip("/")))
    return re.sub(r"\s+", " ", re.sub(r"[-_=~%+]+", " ", words)).strip()


def _web(found: re.Match[str]) -> str:
    return f" {address(found['host'], found['path'] or '', 'dot', 'slash')} "


def _mail(found: re.Match[str]) -> str:
    name = re.sub(r"[-_]", " ", found[1].replace(".", " dot ").replace("+", " plus "))
    return f" {name} at {found[2].replace('.', ' dot ')} "


def _month(written: str) -> str:
    return next(month for month in _MONTHS if month.startswith(written.rstrip(".")[:3]))


def _date(month: str, day: str, written_year: str | None) -> str:
    words = f"{month} {ordinal(int(day))}"
    return f"{words}, {year(int(written_year))}" if written_year else words


def _named_date(found: re.Match[str]) -> str:
    return _date(_month(found["month"]), found["day"], found["year"])


def _numeric_date(first: str, second: str, written_year: str, found: re.Match[str]) -> str:
    """Month first, unless only the other order makes a date; what is none stays digits and `slash`."""
    month, day = (int(first), int(second)) if int(first) <= 12 else (int(second), int(first))
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return found[0].replace("/", " slash ").replace("-", " dash ")
    return _date(_MONTHS[month - 1], str(day), written_year if len(written_year) == 4 else f"20{written_year}")


def _half(found: re.Match[str]) -> str:
    return re.sub(r"[.\s]", "", found["half"] or "").upper()


def _time(found: re.Match[str]) -> str:
    hour, minute, second = int(found["hour"]), found["minute"], found["second"]
    half = _half(found)
    if minute is None or int(minute) == 0:
        minutes = "" if half or second else "hundred hours" if hour == 0 else "o'clock" if hour <= 12 else "hundred"
    else:
        minutes = two_digits(int(minute))
    seconds = f"and {cardinal(int(second))} second{'' if int(second) == 1 else 's'}" if second else ""
    if second and not minutes:
        minutes = "o'clock"
    return spaced([cardinal(hour), minutes, seconds, half])


def _phone(found: re.Match[str]) -> str:
    plus = "plus " if found[0].lstrip().startswith("+") else ""
    return plus + ", ".join(digits(group) for group in re.findall(r"\d+", found[0]))


def _version(found: re.Match[str]) -> str:
    parts = found["parts"].split(".")
    word = " dot " if len(parts) == 4 else " point "
    spoken = word.join(
        cardinal(int(part)) if len(part) < 4 and (part == "0" or part[0] != "0") else digits(part) for part in parts
    )
    return f"version {spoken}" if found["v"] else spoken


def _fraction(found: re.Match[str]) -> str:
    whole, above, below = found["whole"], int(found["above"]), int(found["below"])
    if not 2 <= below <= 100 or above > 20:
        words = f"{cardinal(above)} over {cardinal(below)}"
    else:
        part = {2: "half", 4: "quarter"}.get(below, ordinal(below))
        words = f"{cardinal(above)} {part if above == 1 else 'halves' if part == 'half' else plural(part)}"
    return f"{decimal(whole)} and {'a' + words[3:] if above == 1 else words}" if whole else words


def _decade(found: re.Match[str]) -> str:
    number = int(found[1])
    if number < 100:
        return plural(cardinal(number))
    words = year(number)
    return plural(words)


def _label(found: re.Match[str]) -> str:
    number = found[2]
    if len(number) == 4 and number[2] != "0" and number[0] != "0":
        return f"{found[1]} {cardinal(int(number[:2]))} {two_digits(int(number[2:]))}"
    if len(number) == 3 and number[0] != "0" and number[1:] != "00":
        return f"{found[1]} {cardinal(int(number[0]))} {two_digits(int(number[1:]))}"
    return f"{found[1]} {digits(number) if number[0] == '0' else cardinal(int(number))}"


def _roman(written: str) -> int:
    values = [_ROMANS[letter] for letter in written]
    return sum(-value if value < following else value for value, following in zip(values, [*values[1:], 0], strict=True))


def _plain(found: re.Match[str]) -> str:
    number = found[0]
    if "," not in number and "." not in number and len(number) >= 10 and not number.endswith("0000"):
        return digits(number)
    return decimal(number)


def _rule(pattern: str, words: Callable[[re.Match[str]], str] | str, flags: int = 0) -> Rule:
    return re.compile(pattern, flags), words


_HALF = r"(?:\s?(?P<half>[AaPp]\.?\s?[Mm]\b)\.?)"
_MONEY = alternatives(CURRENCIES)
_SCALE = alternatives(SCALES)
_UNIT = alternatives(UNITS)

_RULES: tuple[Rule, ...] = (
    # addresses
    _rule(r"\b([\w.+-]+)@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)", _mail),
    _rule(r"\bhttps?://(?:www\.)?(?P<host>[\w.-]+\w)(?::\d+)?(?P<path>/[\w./%~=+-]*[\w/])?(?:[?#][^\s，。！？]*[\w/=])?/?", _web),
    _rule(r"\bwww\.(?P<host>[\w-]+(?:\.[\w-]+)+)(?P<path>/[\w./%~=+-]*[\w/])?(?:[?#][^\s，。]*[\w/=])?/?", _web),
    _rule(r"\b(?P<host>(?:[a-z0-9-]+\.)+(?:com|org|net|io|ai|cn|edu|gov|dev|app|co\.uk)\b)(?P<path>/[\w./%~=+-]*[\w/])?", _web),
    # what has fixed words
    _rule(r"(?<![\w/.])St\.(?=\s[A-Z])", "Saint"),
    _rule(r"(?<=[a-z] )St\.", "Street"),
    _rule(rf"(?<![\w/.])(?:{alternatives(_ABBREVIATIONS)})(?![\w/])", lambda found: _ABBREVIATIONS[found[0]]),
    _rule(r"\b(?:No|Nos|no)\.\s?(?=\d)", "number "),
    _rule(r"\bpp\.\s?(?=\d)", "pages "),
    _rule(r"\bp\.\s?(?=\d)", "page "),
    _rule("[½⅓⅔¼¾⅕⅛⅜⅝⅞]", lambda found: f" {_FRACTIONS[found[0]]}"),
    # days and hours
    _rule(rf"{_START}(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}})(?:T(?=\d)|{_END})",
          lambda found: _numeric_date(found[3], found[4], found[1], found) + " "),
    _rule(rf"{_START}(\d{{1,2}})([/.-])(\d{{1,2}})\2(\d{{4}}|(?<=/)\d\d){_END}",
          lambda found: _numeric_date(found[1], found[3], found[4], found)),
    _rule(rf"\b{_MONTH}\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s(?P<year>\d{{4}}))?{_END}", _named_date),
    _rule(rf"{_START}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH}(?:,?\s(?P<year>\d{{4}}))?(?!\w)", _named_date),
    _rule(rf"{_START}(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?(?:Z\b)?(?:{_HALF})?(?!\d|:)", _time),
    _rule(rf"{_START}(?P<hour>1[0-2]|[1-9])(?P<minute>)?(?P<second>)?{_HALF}",
          lambda found: f"{cardinal(int(found['hour']))} {_half(found)}"),
    _rule(rf"{_START}\d+(?::\d+)+{_END}", lambda found: " to ".join(cardinal(int(part)) for part in found[0].split(":"))),
    # numbers that are names
    _rule(r"(?<![\w+])(?:\+\d{1,3}[\s.-]?)?\(\d{2,4}\)\s?\d{3,4}[\s.-]\d{3,4}(?!\d)", _phone),
    _rule(r"(?<![\w.])\+\d{1,3}(?:[\s.-]?\d{2,4}){2,5}(?!\d)", _phone),
    _rule(r"(?<![\w.,-])0\d{2,4}\s\d{3,4}\s\d{3,4}(?!\d)", _phone),
    _rule(r"(?<![\w.,-])(?:\d-)?\d{3}[-.]\d{3}[-.]\d{4}(?![\d-])", _phone),
    _rule(r"(?<![\w.,$€£-])\d{3}-\d{4}(?![\d-])|(?<![\w.,-])0\d{2,3}-\d{7,8}(?![\d-])", _phone),
    _rule(r"(?<!\w)(?P<v>[vV]\.?\s?(?=\d))?(?P<parts>\d+(?:\.\d+){2,})(?![\w])", _version),
    _rule(r"(?<!\w)(?P<v>[vV]\.?)(?P<parts>\d+(?:\.\d+)?)(?!\w)", _version),
    _rule(rf"\b((?:{_LABELS})s?)\s(\d{{3,4}}){_END}", _label),
    _rule(rf"\b((?:{_CODES})(?: is| number)?:?)\s(\d{{3,}}){_END}", lambda found: f"{found[1]} {digits(found[2])}"),
    _rule(rf"\b((?:{_PARTS}))\s([IVXL]+)\b(?!')", lambda found: f"{found[1]} {cardinal(_roman(found[2]))}"),
    _rule(rf"\b((?:{_RULERS}))\s([IVX]{{2,}}|V|X)\b", lambda found: f"{found[1]} the {ordinal(_roman(found[2]))}"),
    # money
    _rule(rf"(?<!\w)(?P<m>[-−])?(?P<c>{_MONEY})\s?(?P<a>{_NUMBER}){_TO}(?:{_MONEY})?(?P<b>{_NUMBER})(?:\s?(?P<s>{_SCALE})(?!\w))?",
          lambda found: f"{decimal(found['a'])} to {money(found['b'], found['s'], found['c'])}"),
    _rule(rf"(?<!\w)(?P<m>[-−])?(?P<c>{_MONEY})\s?(?P<n>{_NUMBER})(?:\s?(?P<s>{_SCALE})(?!\w))?",
          lambda found: ("minus " if found["m"] else "") + money(found["n"], found["s"], found["c"])),
    _rule(rf"{_START}(?P<n>{_NUMBER})(?:\s?(?P<s>{_SCALE}))?\s?(?P<c>{_MONEY})(?!\w)",
          lambda found: money(found["n"], found["s"], found["c"])),
    # measures
    _rule(r"(?<![\w.,])['’]?(\d{1,3}0)['’]?s\b", _decade),
    _rule(r"\b(480|720|1080|1440|2160)p\b", lambda found: f"{cardinal(int(found[1][:-2]))} {cardinal(int(found[1][-2:]))} p"),
    _rule(rf"{_START}(\d+)['′]\s?(\d+)(?:[\"″”]|'')", lambda found: f"{measured(found[1], 'ft')} {decimal(found[2])}"),
    _rule(rf"{_START}({_NUMBER})(?:\s?(?:{_UNIT}))?{_TO}({_NUMBER})\s?({_UNIT})(?!\w)",
          lambda found: f"{decimal(found[1])} to {measured(found[2], found[3])}"),
    _rule(rf"(?<![\w.,])(?P<m>[-−](?=[\d.]))?(?P<n>{_NUMBER})(?:\s|-)?(?P<u>{_UNIT})(?![\w/])",
          lambda found: ("minus " if found["m"] else "") + measured(found["n"], found["u"])),
    _rule(rf"{_START}({_NUMBER})\s?(k|K|M|B|bn)(?!\w)(?=\s[a-z])|{_START}(\d+\.\d+)([MB])(?!\w)",
          lambda found: f"{decimal(found[1] or found[3])} {SCALES[found[2] or found[4]]}"),
    # kinds of number
    _rule(rf"{_START}(\d{{1,3}}(?:,\d{{3}})+|\d+)(?:st|nd|rd|th)\b", lambda found: ordinal(int(found[1].replace(",", "")))),
    _rule(rf"{_START}(?:(?P<whole>\d+)\s)?(?P<above>\d{{1,3}})[/⁄](?P<below>\d{{1,4}})(?![\w/])", _fraction),
    _rule(rf"{_START}((?:1[1-9]|20)\d\d){_TO}((?:1[1-9]|20)\d\d){_END}",
          lambda found: f"{year(int(found[1]))} to {year(int(found[2]))}"),
    _rule(rf"(?<![\w.,-])({_NUMBER})[-–—~～]({_NUMBER})(?![\w-])", lambda found: f"{decimal(found[1])} to {decimal(found[2])}"),
    _rule(rf"\b(in|since|by|of|until|year|early|late|Q[1-4])\s((?:1[1-9]|20)\d\d){_END}",
    lambda found: f"{found[1]} {year(int(found[2]))}", re.I),
    _rule(rf"{_START}(?:19|20)\d\d{_END}(?!\s[a-z]{{3,}}s\b(?<!\swas))", lambda found: year(int(found[0]))),
    # signs between and before numbers
    _rule(r"\^([23])(?!\d)", lambda found: _POWERS["²" if found[1] == "2" else "³"]),
    _rule(r"(?<=[\w)])\s[-−]\s?(?=\d)(?=.*=)", " minus "),
    _rule(r"(?<=\d)\s?−\s?(?=\d)", " minus "),
    _rule(r"(?<![\w)])[-−](?=\.?\d)", "minus "),
    _rule(r"(?<=\d)\s?[x×*]\s?(?=\d)", " times "),
    _rule(r"(?<=\d)x\b", " times"),
    _rule(r"(?<=\d)\s/\s(?=\d)", " divided by "),
    _rule(r"(?<!about )~\s?(?=[\d$€£])", "about "),
    _rule(r"\bC#", "C sharp"),
    _rule(r"#(?=[A-Za-z])", "hashtag "),
    # the rest of the numbers; letters and digits that touch are read apart
    _rule(r"\b([BCDPG])2([BCDPG])\b", r"\1 to \2"),
    _rule(r"(?<=[A-Za-z])-(?=\d)|(?<=\d)-(?=\w)", " "),
    _rule(rf"(?<![\d.])(?:{_NUMBER})(?:(?=\D)|$)", lambda found: f" {_plain(found)} "),
    _rule(r"\d+", lambda found: f" {digits(found[0])} "),
    # marks
    _rule("[²³]", lambda found: _POWERS[found[0]]),
    _rule(rf"[{re.escape(''.join(_SYMBOLS))}]", lambda found: f" {_SYMBOLS[found[0]]} "),
    _rule(r"(?<=\w)\s?/\s?(?=\w)|_+|\\", " "),
    _rule(r"\s[-–]{1,3}\s|[—―]+|(?<=\w)[–](?=\w)", " — "),
    _rule(r"\.{3,}|…+", "… "),
)  # fmt: skip
