import os

from gantry.errors import format_on_one_line, to_printable


def test_an_exception_is_formatted_on_one_line() -> None:
    error = KeyError("a key\n\n   on several\tlines")
    assert format_on_one_line(ValueError("a\n  b\tc ")) == "a b c"
    assert format_on_one_line(ValueError("a\n  b"), with_type=True) == "ValueError: a b"
    assert format_on_one_line(error, with_type=True, limit=12) == "KeyError: 'a"
    assert format_on_one_line(ValueError()) == ""


def test_control_characters_are_spelled_out() -> None:
    assert format_on_one_line("\x1b]0;title\x07 \x9b31m ü") == "\\x1b]0;title\\x07 \\x9b31m ü"


def test_names_of_any_bytes_fit_on_one_line() -> None:
    name = os.fsdecode(b"caf\xe9\n\x1b[31m.png")
    assert to_printable(name) == r"caf\udce9\n\x1b[31m.png"
    assert to_printable("日本 é.png") == "日本 é.png"
    assert to_printable("a\u202egnp.b") == r"a\u202egnp.b"  # which turns the direction of writing
