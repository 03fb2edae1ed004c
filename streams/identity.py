"""What makes a topic the one that a state was made from."""

from typing import NamedTuple


class Identity(NamedTuple):
    """Whatever of it differs, it is another topic."""

    id: str
    partitions: int
