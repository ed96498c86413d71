"""A stream cut into sentences, whatever the pieces are in which it comes."""

import pytest

from speech.sentences import plain, sentences, without

PIECES = (1, 2, 3, 7, 10_000)


def cut(text: str, length: int) -> list[str]:
    return [text[start : start + length] for start in range(0, len(text), length)]


@pytest.mark.parametrize("length", PIECES)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n", []),
        ("Good morning to you. How are you today? Fine!", ["Good morning to you.", " How are you today?", " Fine!"]),
        ("Dr. Smith met Mrs. Brown at 3.5 percent. She left.", ["Dr. Smith met Mrs. Brown at 3.5 percent.", " She left."]),
        ("Version 2.0 is out... really. See example.com now.", ["Version 2.0 is out... really.", " See example.com now."]),
        ('He said: "Come in here." Then he left.', ['He said: "Come in here."', " Then he left."]),
        ("你好！今天天气很好，25.5度。“真的是这样吗？”他问。", ["你好！今天天气很好，25.5度。", "“真的是这样吗？”", "他问。"]),
        ("好！好！好！好的，就这样吧。", ["好！好！好！", "好的，就这样吧。"]),
        ("First line here\nsecond line here", ["First line here\n", "second line here"]),
    ],
)
def test_sentences(text: str, expected: list[str], length: int) -> None:
    assert [sentence.text for sentence in sentences(cut(text, length))] == expected


@pytest.mark.parametrize(
    ("text", "ended"),
    [("It is so. It is the", False), ("It is so. It is the end.", True), ("它是这样的。它是", False),
     ("它是这样的。“它是！”", True), ("Say it to Mr", False), ("This is it…", True)],
)  # fmt: skip
def test_an_end_that_is_missing_is_noticed(text: str, ended: bool) -> None:
    assert list(sentences([text]))[-1].ended is ended


def test_a_sentence_is_handed_out_as_soon_as_the_next_begins() -> None:
    given: list[str] = []

    def stream():
        for piece in cut("It is raining outside. Take an umbrella with you.", 1):
            given.append(piece)
            yield piece

    assert next(sentences(stream())).text == "It is raining outside."
    assert "".join(given) == "It is raining outside. "


@pytest.mark.parametrize("length", PIECES)
@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("<think>a b</think>c", "c"), ("a<think>b</think>c<think>d</think>", "ac"),
        ("a <thin> b < c", "a <thin> b < c"), ("a<think>b", "a"),
        ("a<think>b</thin", "a"), ("a<thi", "a<thi"), ("<<think>x</think>>", "<>"), ("", ""),
    ],
)  # fmt: skip
def test_what_stands_between_marks_is_left_out(text: str, rest: str, length: int) -> None:
    assert "".join(without(cut(text, length), "<think>", "</think>")) == rest


@pytest.mark.parametrize("length", PIECES)
def test_code_blocks_are_not_read_aloud(length: int) -> None:
    said = "".join(
        sentence.text for sentence in sentences(cut("Do it so:\n```python\nprint('**x**.')\n```\nand it is done.", length))
    )
    assert said.split() == ["Do", "it", "so:", "and", "it", "is", "done."]


@pytest.mark.parametrize(
    ("marked", "read"),
    [
        ("# Title", "Title"), ("**Bold** and *so* and ~~no~~ and `code`", "Bold and so and no and code"),
        ("- one\n* two\n+ three", "one\ntwo\nthree"),
        ("> quoted", "quoted"), ("[here](http://a.example/b_c_d)", "here"), ("![picture](a.png)x", "x"),
        ("a\n---\nb", "a\n\nb"),
        ("2*3*4 = 24", "2*3*4 = 24"), ("2 * 3", "2 * 3"), ("snake_case_name", "snake_case_name"),
        ("这是*重点*内容", "这是重点内容"), ("_so_ it is", "so it is"),
        ("**Half of a pair.", "Half of a pair."), ("*Half.", "Half."),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b\n\n1, 2"), (r"\*star\* \(x\)", "star (x)"),
        ("5 < 6 and 7 > 3", "5 < 6 and 7 > 3"), ("one<br>two", "one two"), ("C# and F#", "C# and F#"),
        ("-5 degrees", "-5 degrees"),
    ],
)  # fmt: skip
def test_markup_is_not_read_aloud(marked: str, read: str) -> None:
    assert plain(marked) == read


def test_long_hostile_text_takes_no_time() -> None:
    for text in (
        "*" * 4_000,
        "[" * 4_000,
        "|-" * 2_000,
        "a|" * 2_000,
        "<a" * 2_000,
        "_a" * 2_000,
        "." * 4_000,
        "`" * 4_001,
        ". " * 2_000,
        "\n" * 4_000,
    ):
        list(sentences([text]))
