import io

import pytest

from index_builder.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines_of(step):
    now = [0.0]
    progress = Progress(stream=io.StringIO(), clock=lambda: now[0])
    step(progress, now)
    return progress.stream.getvalue().splitlines()


def test_without_a_terminal_there_is_a_line_every_five_seconds_and_one_at_the_end():
    def step(progress, now):
        with progress.bar("encoding", 4000, "questions", done=2500) as bar:
            for _ in range(15):
                now[0] += 1
                bar.update(100)

    assert lines_of(step) == [
        "encoding: 3,000 of 4,000 questions (75 %), 100/s, 0:10 left",
        "encoding: 3,500 of 4,000 questions (88 %), 100/s, 0:05 left",
        "encoding: 4,000 of 4,000 questions (100 %), 100/s, 0:00 left",
        "encoding: 4,000 questions in 0:15, 100/s",
    ]


def test_a_step_that_fails_has_no_closing_line():
    def step(progress, _now):
        with pytest.raises(ValueError, match="x"), progress.bar("reading", 1, "bytes"):
            raise ValueError("x")

    assert lines_of(step) == []


def test_hours_and_slow_rates_are_shown_as_such():
    def step(progress, now):
        with progress.bar("encoding", 10_000, "questions") as bar:
            now[0] += 20
            bar.update(10)

    assert lines_of(step)[0] == "encoding: 10 of 10,000 questions (0 %), 0.5/s, 5:33:00 left"


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    progress = Progress(stream=stream)
    with progress.bar("reading", 2000, "bytes") as bar:
        bar.update(2000)
        progress.say("a note")
    assert "reading: 100%" in stream.getvalue()
    assert "a note\n" in stream.getvalue()
