"""How numbers, dates, times, money, units, names and signs are read out."""

import pytest

from speech.reading.text import clauses

ENGLISH = {
    "1,234,567 people": "one million two hundred thirty-four thousand five hundred sixty-seven people",
    "0.5 and .25": "zero point five and zero point two five",
    "-3 or +5": "minus three or plus five",
    "the 1st, 2nd, 3rd, 21st and 100th": "the first, second, third, twenty-first and one hundredth",
    "agent 007": "agent zero zero seven",
    "1/2 cup, 3/4 mile, 2 1/2 pages": "one half cup, three quarters mile, two and a half pages",
    "½ a cup": "one half a cup",
    "pages 10-20": "pages ten to twenty",
    "from 2019–2024": "from twenty nineteen to twenty twenty-four",
    "in 1999, 2005 and 2024": "in nineteen ninety-nine, two thousand five and twenty twenty-four",
    "the 1990s and the '80s": "the nineteen nineties and the eighties",
    "March 5, 2024": "March fifth, twenty twenty-four",
    "5 Mar. 2024": "March fifth, twenty twenty-four",
    "2024-03-05": "March fifth, twenty twenty-four",
    "3/4/2024": "March fourth, twenty twenty-four",
    "31/12/1999": "December thirty-first, nineteen ninety-nine",
    "at 10:30 and 5:05 p.m.": "at ten thirty and five oh five PM.",
    "at 9am, 12:00 and 14:30": "at nine AM, twelve o'clock and fourteen thirty",
    "$3.50, $1, $0.99": "three dollars and fifty cents, one dollar, ninety-nine cents",
    "$1.5 million or €3bn": "one point five million dollars or three billion euros",
    "£3.99 and ¥500": "three pounds and ninety-nine pence and five hundred yuan",
    "$10-$20": "ten to twenty dollars",
    "20% or 3.5%": "twenty percent or three point five percent",
    "25°C, -5 °F, 90°": "twenty-five degrees Celsius, minus five degrees Fahrenheit, ninety degrees",
    "60 km/h, 3kg, 1 m, 5 ft": "sixty kilometers per hour, three kilograms, one meter, five feet",
    "10 GB at 5 GHz and 30 fps": "ten gigabytes at five gigahertz and thirty frames per second",
    "20 m² or 20㎡": "twenty square meters or twenty square meters",
    "5'11\" tall": "five feet eleven tall",
    "5-10 kg": "five to ten kilograms",
    "call +1 (555) 123-4567": "call plus one, five five five, one two three, four five six seven",
    "call 555-1234": "call five five five, one two three four",
    "version 2.0.1 and v3.2": "version two point zero point one and version three point two",
    "192.168.0.1": "one hundred ninety-two dot one hundred sixty-eight dot zero dot one",
    "Python 3.11": "Python three point one one",
    "open 24/7": "open twenty-four seven",
    "2 + 3 = 5": "two plus three equals five",
    "7 - 2 = 5": "seven minus two equals five",
    "4 x 5, 10 / 2, 2^10": "four times five, ten divided by two, two to the power of ten",
    "it won 3:2": "it won three to two",
    "Room 101, code 90210": "Room one oh one, code nine zero two one zero",
    "Henry VIII and World War II": "Henry the eighth and World War two",
    "Dr. Smith and Mrs. Jones": "Doctor Smith and Missus Jones",
    "cats, e.g. mine, i.e. two": "cats, for example mine, that is two",
    "10 vs. 20": "ten versus twenty",
    "5 Main St. in St. Louis": "five Main Street in Saint Louis",
    "No. 5, pp. 3-4": "number five, pages three to four",
    "COVID-19, MP3, H₂O, B2B, A4": "COVID nineteen, MP three, H two O, B to B, A four",
    "C++ and C#": "C plus plus and C sharp",
    "R&D, #1, ~50": "R and D, number one, about fifty",
    "see https://www.example.com/docs?x=1": "see example dot com slash docs",
    "mail jane.doe@example.org": "mail jane dot doe at example dot org",
    "10k steps, 2x faster": "ten thousand steps, two times faster",
    "a 100-year-old tree": "a one hundred year-old tree",
    "E.g. this, 10/10, 1:2:3": "For example this, ten out of ten, one to two to three",
    "Q1 2024 results": "Q one twenty twenty-four results",
    "Tel: 010-12345678": "Tel: zero one zero, one two three four five six seven eight",
    "2.5M, x^2": "two point five million, x squared",
    "Hello... world": "Hello… world",
    "1234567890123": "one two three four five six seven eight nine zero one two three",
}
CHINESE = {
    "价格是3.5元，打8折": "价格是三点五元，打八折",
    "2024年3月5日上午10:30": "二零二四年三月五日上午十点三十分",
    "2024-03-05到2024/3/6": "二零二四年三月五日到二零二四年三月六日",
    "下午3点15分，8:00开始": "下午三点十五分，八点开始",
    "今天-5°C到10℃": "今天负五摄氏度到十摄氏度",
    "电话13800138000": "电话幺三八零零幺三八零零零",
    "占20%，下降-3.5%": "占百分之二十，下降负百分之三点五",
    "60km/h，3kg，20m²，50kWh": "六十公里每小时，三千克，二十平方米，五十千瓦时",
    "$3.50，￥1,234.50元，€5万": "三点五零美元，一千二百三十四点五零元，五万欧元",
    "1/2，3/4杯，½": "二分之一，四分之三杯，二分之一",
    "比分是3:2": "比分是三比二",
    "10-20人，5~10天": "十到二十人，五到十天",
    "2个人，2米，200元": "两个人，两米，两百元",
    "第1名，第3章，第1、2名": "第一名，第三章，第一、二名",
    "2+3=5，10÷2，3x4": "二加三等于五，十除以二，三乘四",
    "90后，985高校，007": "九零后，九八五高校，零零七",
    "5000年历史，1840年": "五千年历史，一八四零年",
    "2024-2025学年": "二零二四到二零二五学年",
    "版本2.0.1和192.168.0.1": "版本二点零点一和一九二点一六八点零点一",
    "房间号101，航班CA1234": "房间号幺零幺，航班CA一二三四",
    "我用iPhone 15买了3个app": "我用iPhone 十五买了三个app",
    "他说 I have 3 apples and 2 pears 然后走了": "他说 I have three apples and two pears 然后走了",
    "COVID-19，5G，MP3": "COVID 十九，五G，MP三",
    "24，3月": "二十四，三月",
    "开24 hours": "开二十四 hours",
    "三點15分，臺灣2萬人": "三点十五分，台湾两万人",
    "1,000和10,000": "一千和一万",
    "100公里/小时，3次/天": "一百公里每小时，三次每天",
    "猫&狗，他/她": "猫和狗，他或她",
    "约~50人，≥5，π≈3": "约五十人，大于等于五，派约等于三",
    "邮箱abc@example.com": "邮箱 abc at example点com",
    "１２３，ＡＢＣ": "一百二十三，ABC",
}


@pytest.mark.parametrize(("text", "expected"), ENGLISH.items())
def test_english(text, expected):
    assert " ".join(clause.spoken for clause in clauses(text, "en")) == expected


@pytest.mark.parametrize(("text", "expected"), CHINESE.items())
def test_chinese(text, expected):
    assert "".join(clause.spoken for clause in clauses(text, "zh")) == expected


def test_digits_between_chinese_are_read_in_chinese_in_an_english_sentence():
    (clause,) = clauses("She wrote 我有3个苹果 and had 3 of them left over.", "en")
    assert clause.spoken == "She wrote 我有三个苹果 and had three of them left over."
