"""Chinese text as it is read out: simplified characters, numbers and signs in words.

wetext's Chinese grammar does most of it (dates, times, counts, fractions); the rules before it are what version 0.1.8 gets wrong.
"""

import re
from functools import cache, lru_cache
from typing import Any

from speech.reading import english
from speech.reading.cleaning import HAN
from speech.reading.units import alternatives

_DIGITS = "零一二三四五六七八九"
_UNITS = {
    "km/h": "公里每小时", "m/s²": "米每二次方秒", "m/s": "米每秒", "kWh": "千瓦时", "mAh": "毫安时", "mA": "毫安",
    "kW": "千瓦", "MW": "兆瓦",
    "W": "瓦", "kV": "千伏", "V": "伏", "Hz": "赫兹", "kHz": "千赫", "MHz": "兆赫", "GHz": "吉赫兹", "fps": "帧每秒",
    "Mbps": "兆比特每秒",
    "Gbps": "吉比特每秒", "dB": "分贝", "rpm": "转每分", "Pa": "帕", "kPa": "千帕", "MPa": "兆帕", "hPa": "百帕",
    "km²": "平方公里",
    "km2": "平方公里", "m²": "平方米", "m2": "平方米", "cm²": "平方厘米", "cm2": "平方厘米", "m³": "立方米", "m3": "立方米",
    "cm³": "立方厘米",
    "cm3": "立方厘米", "mL": "毫升", "ml": "毫升", "L": "升", "kcal": "千卡", "cal": "卡", "kJ": "千焦", "μm": "微米",
    "µm": "微米", "nm": "纳米",
    "μg": "微克", "µg": "微克", "mg": "毫克", "px": "像素", "mph": "英里每小时", "w": "万", "k": "千",
}  # fmt: skip
_MONEY = {
    "US$": "美元",
    "HK$": "港元",
    "$": "美元",
    "€": "欧元",
    "£": "英镑",
    "¥": "元",
    "￥": "元",
    "₩": "韩元",
    "₹": "卢比",
    "₽": "卢布",
}
_SCALES = {"k": "千", "K": "千", "M": "百万", "B": "十亿", "万": "万", "亿": "亿", "百万": "百万", "千万": "千万"}
_FRACTIONS = {"½": "二分之一", "⅓": "三分之一", "⅔": "三分之二", "¼": "四分之一", "¾": "四分之三"}
_SIGNS = {
    "=": "等于", "≠": "不等于", "≈": "约等于", "<": "小于", ">": "大于", "≤": "小于等于", "≥": "大于等于", "×": "乘",
    "÷": "除以", "±": "正负",
    "√": "根号", "∞": "无穷大", "%": "百分号", "°": "度", "+": "加", "@": " at ", "$": "美元", "€": "欧元", "£": "英镑",
    "¥": "元", "￥": "元",
    "²": "的平方", "³": "的立方", "^": "的次方", "§": "节", "−": "负", "#": "井号", "№": "第", "©": "版权", "℃": "摄氏度",
    "℉": "华氏度",
}  # fmt: skip
_GREEK = {"π": "派", "α": "阿尔法", "β": "贝塔", "γ": "伽马", "δ": "德尔塔", "θ": "西塔", "λ": "兰姆达", "μ": "缪", "σ": "西格玛",
          "Δ": "德尔塔", "Σ": "西格玛", "Ω": "欧姆", "ω": "欧米伽", "φ": "斐", "ε": "艾普西龙"}  # fmt: skip
_LABEL = (
    "房间号?|房号|航班号?|尾号|邮编|邮政编码|密码|验证码|编号|工号|学号|车牌号?|门牌号?|分机|账号|帐号|卡号|身份证号?码?|银行卡号?|订单号?|代码"
    "|号码|电话|手机号?|热线|QQ号?|ISBN"
)
_APART = re.compile(r"([，,；。！？]|(?<![A-Za-z°])(?!(?:mm|cm|dm|m|km|kg|g|t|h|min|s|ms|am|pm|AM|PM)(?![A-Za-z]))[A-Za-z]+)")
_LATIN_PHRASE = re.compile(r"[A-Za-z][A-Za-z'’-]*(?:,? (?:[A-Za-z][A-Za-z'’-]*|[$€£]?\d[\d.,:/]*\d|[$€£]?\d)%?)+")


def read(text: str) -> str:
    """The text in words; Latin words stay. Phrases of three Latin words or more have their numbers read in English."""
    text = _LATIN_PHRASE.sub(_phrase, text.replace("∶", ":"))
    for pattern, words in _RULES:
        text = pattern.sub(words, text)
    text = _normalized(text)
    for pattern, words in _SIGNS_LEFT:
        text = pattern.sub(words, text)
    return re.sub(r"\s+(?=[，。！？；：、,])", "", re.sub(r"\s+", " ", text)).strip()


@lru_cache(maxsize=10_000)
def simplified(character: str) -> str:
    """The simplified form of one character."""
    form: str = _grammar().normalize(character)
    return form if len(form) == 1 else character


def _phrase(found: re.Match[str]) -> str:
    return english.read(found[0]) if len(re.findall(r"[A-Za-z][A-Za-z'’-]*", found[0])) >= 3 else found[0]


def _spoken_digits(written: str, one: str = "一") -> str:
    return "".join(_DIGITS[int(digit)] for digit in written if digit.isdecimal()).replace("一", one)


def _small(number: int) -> str:
    """0…99 in words."""
    tens, ones = divmod(number, 10)
    return ("" if tens == 0 else "十" if tens == 1 else f"{_DIGITS[tens]}十") + (_DIGITS[ones] if ones or not tens else "")


def _version(found: re.Match[str]) -> str:
    parts = found[1].split(".")
    address = len(parts) == 4
    return "点".join(_spoken_digits(part) if address or len(part) > 2 or part[0] == "0" else _small(int(part)) for part in parts)


def _money(found: re.Match[str]) -> str:
    return ("负" if found[1] else "") + found[3] + _SCALES.get(found[4] or "", "") + _MONEY[found[2]]


def _model(found: re.Match[str]) -> str:
    """H100 → H一百, CA1234 → CA一二三四."""
    return found[0] if found[0].endswith("00") else _spoken_digits(found[0])


def _web(found: re.Match[str]) -> str:
    return f" {english.address(found['host'], found['path'] or '', '点', '斜杠')} "


_DOMAINS = "com|org|net|io|ai|cn|edu|gov|dev|app"
_PATH = r"(?P<path>/[A-Za-z0-9_./%~=+-]*[A-Za-z0-9_/])?(?:[?#][A-Za-z0-9_./%~=+&#-]*)?/?"
_RULES = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"([A-Za-z0-9_.+-]+)@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)",
         lambda found: f" {found[1].replace('.', '点')} at {found[2].replace('.', '点')} "),
        (rf"https?://(?:www\.)?(?P<host>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)(?::\d+)?{_PATH}", _web),
        (rf"(?<![A-Za-z0-9])(?:www\.)?(?P<host>(?:[A-Za-z0-9-]+\.)+(?:{_DOMAINS}))(?![A-Za-z0-9]){_PATH}", _web),
        (r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])", lambda found: found[0].replace(",", "")),
        (rf"(-|−)?({alternatives(_MONEY)})\s?(\d+(?:\.\d+)?)\s?({alternatives(_SCALES)})?(?![A-Za-z])元?", _money),
        (r"(?<![\d.])[vV]?(?!(?:19|20)\d\d\.\d{1,2}\.\d{1,2}(?![\d.]))(\d+(?:\.\d+){2,})(?![\d年])", _version),
        (r"(?<=第)\d(?:、\d)+", lambda found: "、".join(_DIGITS[int(digit)] for digit in found[0].split("、"))),
        (r"(?<=\d)\s?÷\s?(?=\d)", "除以"),
        (r"\+?(?<![\d.])(\d{1,3})[ -](1\d{2}[ -]?\d{4}[ -]?\d{4})(?!\d)",
         lambda found: f"{'加' if found[0][0] == '+' else ''}{_spoken_digits(found[1], '幺')}，{_spoken_digits(found[2], '幺')}"),
        (r"(?<!\d)[(（](0\d{2,3})[)）][ -]?(\d{7,8})(?!\d)",
         lambda found: f"{_spoken_digits(found[1], '幺')}，{_spoken_digits(found[2], '幺')}"),
        (r"(?<![\d-])\d{3}-(?:\d{3}-)?\d{4}(?![\d-])", lambda found: _spoken_digits(found[0], "幺")),
        (rf"({_LABEL})([:：是为 ]{{0,2}})(\d[\d-]{{2,}})", lambda found: f"{found[1]}{found[2]}{_spoken_digits(found[3], '幺')}"),
        (r"(?<![\d.])\d{12,}(?!\.?\d)", lambda found: _spoken_digits(found[0])),
        (r"(?<![\d.])(?:985|211|618|996|007)(?![\d.%元人个年月日度米])", lambda found: _spoken_digits(found[0], "一")),
        (r"(?<![\d.])([5-9]\d|0\d)(?=后[^面来天续])", lambda found: _spoken_digits(found[1])),
        (r"(?<!\d)((?:19|20)\d\d)\s?[-–—~至到]\s?((?:19|20)\d\d)(?=学?年)",
         lambda found: f"{_spoken_digits(found[1])}到{_spoken_digits(found[2])}"),
        (r"(?<!\d)(?:19|20)\d\d(?=Q\d)", lambda found: _spoken_digits(found[0])),
        (r"(?<!\d)([3-9])(\d00)(?=多?年)", lambda found: f"{found[1]}千" + ("" if found[2] == "000" else f"{found[2][0]}百")),
        (r"(?<!\d)24/7(?!\d)", "二十四七"),
        (r"(?<!\d)9/11(?!\d)", "九一一"),
        (r"(?<!\d)24小时", "二十四小时"),
        (r"(?<![A-Za-z0-9)])[-−](\d+(?:\.\d+)?)%", r"负\1%"),
        (r"±(\d+(?:\.\d+)?)%", r"正负\1%"),
        (r"(\d+(?:\.\d+)?)‰", r"千分之\1"),
        (r"(\d*)([½⅓⅔¼¾])", lambda found: f"{found[1]}{'又' if found[1] else ''}{_FRACTIONS[found[2]]}"),
        (r"([\dA-Za-z])\^(\d+)", r"\1的\2次方"),
        (rf"(?<=\d)\s?({alternatives(_UNITS)})(?![A-Za-z])", lambda found: _UNITS[found[1]]),
        (r"(?<=\d)[xX*](?=\d)", "乘"),
        (r"(?<=\d)[xX](?![A-Za-z])", "倍"),
        (rf"(\d[{HAN}]{{1,3}})/(?=[{HAN}])", r"\1每"),
        ("和/或", "和或"),
        (rf"(?<=[{HAN}])/(?=[{HAN}])", "或"),
        (r"\b[Nn]o\.\s?(?=\d)|№\s?", "第"),
        (r"\b[Vv]ol\.\s?(\d+)", r"第\1卷"),
        (r"#(\d+)", r"\1号"),
        (r"\b([BCDPG])2([BCDPG])\b", r"\1 to \2"),
        (r"(约|大约)~\s?(?=\d)", r"\1"),
        (r"(?<![\d~])~\s?(?=\d)", "约"),
        (r"(\d)\+(?!\d)", r"\1多"),
        (r"(?<=[A-Za-z])-(?=\d)", " "),
        (r"(?<=[A-Z])\d{3,}(?![\d.])", _model),
    )
)  # fmt: skip
_SIGNS_LEFT = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (rf"(?<=[{HAN}])\s?&\s?(?=[{HAN}])", "和"),
        (r"\s?&\s?", " and "),
        (rf"[{re.escape(''.join(_SIGNS))}]", lambda found: _SIGNS[found[0]]),
        (rf"[{''.join(_GREEK)}]", lambda found: _GREEK[found[0]]),
        (r"\d+", lambda found: _spoken_digits(found[0])),
        (r"(?<=[A-Za-z零一二三四五六七八九十百千万])[.](?=[零一二三四五六七八九十A-Za-z])", "点"),
        (r"[/\\_|~～]+", " "),
    )
)


def _normalized(text: str) -> str:
    """wetext takes a comma between numbers for one of thousands and `24 hours` for 24小时ours: it sees what lies between."""
    return "".join(part if number % 2 else _part(part) for number, part in enumerate(_APART.split(text)))


def _part(text: str) -> str:
    inside = text.strip()
    words: str = _grammar().normalize(inside) if inside else ""
    return text.replace(inside, words, 1) if inside else text


@cache
def _grammar() -> Any:
    from wetext import Normalizer  # noqa: PLC0415 - 0.7 s, for Chinese alone

    return Normalizer(lang="zh", operator="tn", traditional_to_simple=True)
