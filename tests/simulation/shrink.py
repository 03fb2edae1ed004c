"""The fewest records with which a seed still shows a violation."""

from tests.simulation.simulate import simulate


def fewest_records(seed: int, most: int) -> int:
    """By halves: with fewer records a life goes another way, so this is a small number and not always the smallest."""
    fails, holds = most, 0
    while fails - holds > 1:
        middle = (fails + holds) // 2
        if simulate(seed, middle).violations:
            fails = middle
        else:
            holds = middle
    return fails
