"""How Python's garbage collector is to look: seldom, and past what was loaded."""

import gc

# A batch makes a few objects a record and frees them by itself, and imports keep what they make; nothing of ours is a
# cycle. At Python's own 700 the collector walks through the same live objects again and again.
NEW_OBJECTS_MAX = 200_000
YOUNG_COLLECTIONS_MAX = 20
MIDDLE_COLLECTIONS_MAX = 50


def look_seldom() -> None:
    gc.set_threshold(NEW_OBJECTS_MAX, YOUNG_COLLECTIONS_MAX, MIDDLE_COLLECTIONS_MAX)


def look_past_what_is_there() -> None:
    """Without a last look at it: of 196,000 objects that a worker has loaded, 757 are of no more use."""
    gc.freeze()
