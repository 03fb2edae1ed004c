"""What tests of rows ask of a join."""

from detectors.join import Join
from detectors.rows import Stretch


def taken_in(join: Join, rows: Stretch, start: int, stop: int) -> int:
    """The row after those of these that were taken in together."""
    course = join.predict_rows(rows, slice(start, stop), 0)
    return start if course is None else course.stop
