"""Units after a number, and money, in English words."""

import re
from collections.abc import Iterable

from speech.reading.numbers import cardinal, decimal, plural, spaced

UNITS = {
    "km/h": "kilometer per hour", "kph": "kilometer per hour", "km/s": "kilometer per second", "m/s": "meter per second",
    "m/s²": "meter per second squared", "m/s2": "meter per second squared", "mph": "mile per hour", "mpg": "mile per gallon",
    "ft/s": "foot per second", "mm": "millimeter", "cm": "centimeter", "dm": "decimeter", "m": "meter", "km": "kilometer",
    "μm": "micrometer", "µm": "micrometer", "nm": "nanometer", "ft": "foot", "yd": "yard", "mi": "mile",
    "mm²": "square millimeter", "cm²": "square centimeter", "m²": "square meter", "km²": "square kilometer",
    "cm2": "square centimeter",
    "m2": "square meter", "km2": "square kilometer", "sq ft": "square foot", "sqft": "square foot", "ft²": "square foot",
    "ha": "hectare", "cm³": "cubic centimeter", "m³": "cubic meter", "cm3": "cubic centimeter", "m3": "cubic meter",
    "mg": "milligram", "μg": "microgram", "µg": "microgram", "g": "gram", "kg": "kilogram", "lb": "pound", "lbs": "pound",
    "oz": "ounce",
    "mL": "milliliter", "ml": "milliliter", "cl": "centiliter", "l": "liter", "L": "liter", "gal": "gallon",
    "ns": "nanosecond", "μs": "microsecond", "µs": "microsecond", "ms": "millisecond", "s": "second", "sec": "second",
    "secs": "second",
    "min": "minute", "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour", "yr": "year", "yrs": "year",
    "KB": "kilobyte", "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "PB": "petabyte",
    "KiB": "kibibyte", "MiB": "mebibyte", "GiB": "gibibyte", "TiB": "tebibyte", "kbps": "kilobit per second",
    "Kbps": "kilobit per second", "Mbps": "megabit per second", "Gbps": "gigabit per second", "kb/s": "kilobit per second",
    "Mb/s": "megabit per second", "MB/s": "megabyte per second", "GB/s": "gigabyte per second", "Hz": "hertz", "kHz": "kilohertz",
    "MHz": "megahertz", "GHz": "gigahertz", "W": "watt", "kW": "kilowatt", "MW": "megawatt", "GW": "gigawatt",
    "kWh": "kilowatt hour",
    "Wh": "watt hour", "V": "volt", "kV": "kilovolt", "mV": "millivolt", "mA": "milliamp", "mAh": "milliamp hour",
    "dB": "decibel",
    "Pa": "pascal", "hPa": "hectopascal", "kPa": "kilopascal", "MPa": "megapascal", "N": "newton", "J": "joule",
    "kJ": "kilojoule",
    "cal": "calorie", "kcal": "kilocalorie", "px": "pixel", "fps": "frame per second", "rpm": "revolution per minute",
    "Ω": "ohm", "kΩ": "kiloohm", "°C": "degree Celsius", "° C": "degree Celsius", "℃": "degree Celsius",
    "°F": "degree Fahrenheit",
    "° F": "degree Fahrenheit", "℉": "degree Fahrenheit", "°": "degree", "º": "degree", "%": "percent", "％": "percent",
    "‰": "per mille",
}  # fmt: skip
_UNCHANGED = frozenset({"percent", "per mille"})
SCALES = {
    "k": "thousand", "K": "thousand", "thousand": "thousand", "m": "million", "M": "million", "mn": "million", "mln": "million",
    "million": "million", "b": "billion", "B": "billion", "bn": "billion", "billion": "billion", "t": "trillion", "T": "trillion",
    "tn": "trillion", "trillion": "trillion",
}  # fmt: skip
CURRENCIES = {
    "US$": ("dollar", "cent"), "USD": ("US dollar", "cent"), "$": ("dollar", "cent"), "€": ("euro", "cent"), "EUR": ("euro",
    "cent"),
    "£": ("pound", "penny"), "GBP": ("pound", "penny"), "¥": ("yuan", ""), "￥": ("yuan", ""), "CNY": ("yuan", ""),
    "RMB": ("yuan", ""),
    "JP¥": ("yen", ""), "JPY": ("yen", ""), "₩": ("won", ""), "₹": ("rupee", "paisa"), "₽": ("ruble", ""), "₿": ("bitcoin", ""),
    "HK$": ("Hong Kong dollar", "cent"), "A$": ("Australian dollar", "cent"), "C$": ("Canadian dollar", "cent"),
    "CHF": ("franc", ""),
}  # fmt: skip


def alternatives(words: Iterable[str]) -> str:
    """The words as alternatives of a regular expression, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def measured(number: str, unit: str) -> str:
    """`5`, `km/h` → five kilometers per hour."""
    word = UNITS[unit]
    if number not in ("1", "-1") and word not in _UNCHANGED:
        head, per, rest = word.partition(" per ")
        last = " Celsius" if head.endswith(" Celsius") else " Fahrenheit" if head.endswith(" Fahrenheit") else ""
        word = plural(head.removesuffix(last)) + last + per + rest
    return f"{decimal(number)} {word}"


def money(number: str, scale: str | None, currency: str) -> str:
    """`3.50`, None, `$` → three dollars and fifty cents; `1.5`, `bn`, `€` → one point five billion euros."""
    unit, part = CURRENCIES[currency]
    number = number.replace(",", "")
    if scale:
        return f"{decimal(number)} {SCALES[scale]} {plural(unit)}"
    whole, _, cents = number.partition(".")
    if len(cents) != 2 or not part:
        return f"{decimal(number)} {unit if number == '1' else plural(unit)}"
    large = f"{decimal(whole)} {unit if whole == '1' else plural(unit)}" if int(whole or "0") or not int(cents) else ""
    small = f"{cardinal(int(cents))} {part if cents == '01' else plural(part)}" if int(cents) else ""
    return spaced([large, "and" if large and small else "", small])
