"""Text from outside, made fit to show."""

import json
import shlex


def printable(text: str) -> str:
    """Control characters as escapes, so that data cannot start a line or steer a terminal; accents and such stay."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def json_line(value: bytes) -> str:
    """The same JSON in nothing but ASCII: for programs, and harmless where it lands on a terminal."""
    return json.dumps(json.loads(value))


def quoted(word: str) -> str:
    """As a shell takes it for one word; one that cannot be shown in bash's own escapes, byte for byte."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(map(_in_bash, word)) + "'"


def _in_bash(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
