from gantry.errors import format_on_one_line


def test_an_exception_is_formatted_on_one_line() -> None:
    error = KeyError("a key\n\n   on several\tlines")
    assert format_on_one_line(ValueError("a\n  b\tc ")) == "a b c"
    assert format_on_one_line(ValueError("a\n  b"), with_type=True) == "ValueError: a b"
    assert format_on_one_line(error, with_type=True, limit=12) == "KeyError: 'a"
    assert format_on_one_line(ValueError()) == ""


def test_control_characters_are_spelled_out() -> None:
    assert format_on_one_line("\x1b]0;title\x07 \x9b31m ü") == "\\x1b]0;title\\x07 \\x9b31m ü"
