"""How much a recorded baseline has to teach, and how much of it teaches a column before that is watched."""

from collections.abc import Mapping

import msgspec

# Fewer values teach nothing: a standard error of their mean is more than a tenth of a standard deviation. With so many,
# the mean time between false alarms is about what was asked for (0.8 to 1.1 of it), and early ones come twice as often
# as after 1,000. The stream teaches a column that has fewer.
LEARN_MIN = 100


class Recorded(msgspec.Struct, frozen=True):
    """How much of everything there is in a baseline that was recorded: rows, and values of each feature."""

    rows: int = 0
    values: Mapping[str, int] = {}

    def taught(self, name: str | None, usual: int, *, several: bool = False) -> int:
        """How many values teach a column of the feature, or of ``None``: of all rows; 0 where it is the usual number.

        Of categories, two thirds say which there are, the rest how they follow one another.
        """
        count = self.rows if name is None else self.values.get(name, 0)
        few = count < LEARN_MIN
        count = 2 * count // 3 if several else count
        return 0 if few or count >= usual else count


NOTHING = Recorded()
