import io

from rich.console import Console

from streams.progress import Lines, progress_on


def test_off_a_terminal_there_is_a_line_every_few_seconds_at_most() -> None:
    times = iter([0.0, 1.0, 6.0, 7.0, 12.0])
    stream = io.StringIO()
    progress = Lines(stream, lambda: 0.5, clock=lambda: next(times))
    for _ in range(4):
        progress(600)
    assert (
        stream.getvalue() == "1,200 records, 50%, 200 a second, 6 s left\n2,400 records, 50%, 200 a second, 12 s left\n"
    )


def test_a_source_of_unknown_length_has_no_share() -> None:
    times = iter([0.0, 10.0])
    stream = io.StringIO()
    Lines(stream, lambda: None, clock=lambda: next(times))(50)
    assert stream.getvalue() == "50 records, 5 a second\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_there_is_a_bar() -> None:
    stream = Terminal()
    assert Console(file=stream).is_terminal
    with progress_on(stream, lambda: 1.0) as progress:
        progress(1_234)
    assert "1,234 records" in stream.getvalue()
