"""What is said of lists in forms."""

from shaken.web.asking import MAX_BAD_LINES, bad_lines


def refuse(text: str) -> None:
    raise ValueError(f"{text} is wrong")


def test_lines_that_can_be_read_are_not_told() -> None:
    assert bad_lines("1\n\n 2 \n", int) is None


def test_a_line_that_cannot_be_read_is_told_with_its_number() -> None:
    told = bad_lines("1\nx\n2", lambda text: None if text.isdigit() else refuse(text))

    assert told == "Line 2 (x): x is wrong."


def test_however_many_lines_are_wrong_the_answer_is_short() -> None:
    told = bad_lines("\n".join(f"x{number}" for number in range(80_000)), refuse)

    assert told is not None
    assert len(told) < 1000
    assert told.endswith(f"{80_000 - MAX_BAD_LINES} more lines cannot be read either.")
