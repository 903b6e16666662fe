from __future__ import annotations

from local.agentcore.environments.log_buffer import EVENT_OVERHEAD_BYTES, LINE_MAX_BYTES, LogBuffer


def messages(buffer: LogBuffer) -> list[str]:
    return [line.message for line in buffer.take()]


def test_lines_may_begin_and_end_anywhere_in_the_output() -> None:
    buffer = LogBuffer()
    for piece in (b"fir", b"st\nsec", b"ond\r\n\n\nthi", b"rd"):
        buffer.write(piece)
    assert messages(buffer) == ["first", "second"]
    buffer.close()
    buffer.close()
    assert messages(buffer) == ["third"]


def test_a_character_cut_in_two_is_one_character() -> None:
    buffer = LogBuffer()
    first, second = "ü\n".encode()[:1], "ü\n".encode()[1:]
    buffer.write(first)
    buffer.write(second)
    assert messages(buffer) == ["ü"]


def test_bytes_that_are_no_text_are_still_an_event() -> None:
    buffer = LogBuffer()
    buffer.write(b"\xff\xfe\n")
    assert messages(buffer) == ["��"]


def test_a_line_that_is_too_long_becomes_several() -> None:
    buffer = LogBuffer()
    buffer.write(b"x" * (2 * LINE_MAX_BYTES + 1))
    buffer.write(b"\n")
    assert [len(message) for message in messages(buffer)] == [LINE_MAX_BYTES, LINE_MAX_BYTES, 1]


def test_a_full_buffer_loses_its_oldest_lines_and_says_how_many() -> None:
    buffer = LogBuffer(max_bytes=3 * (1 + EVENT_OVERHEAD_BYTES))
    buffer.write(b"1\n2\n3\n4\n5\n")
    assert messages(buffer) == ["[2 lines were lost here: too many at once]", "3", "4", "5"]
    buffer.write(b"6\n")
    assert messages(buffer) == ["6"]


def test_timestamps_never_go_back() -> None:
    buffer = LogBuffer()
    buffer.write(b"1\n2\n3\n")
    times = [line.timestamp for line in buffer.take()]
    assert times == sorted(times)


def test_the_last_lines_stay_known_after_they_were_taken() -> None:
    buffer = LogBuffer()
    buffer.write(b"Traceback\nKeyError: 'x'\n")
    buffer.take()
    assert buffer.tail() == "Traceback\nKeyError: 'x'"
