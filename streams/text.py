"""Text from outside, made fit to show."""


def printable(text: str) -> str:
    """Control characters as escapes, so that data cannot start a line or steer a terminal; accents and such stay."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
