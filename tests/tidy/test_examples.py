"""Examples in the documents are run as they stand: every fenced Python block with a prompt in it."""

import doctest
import re

from tests.tidy.tree import text_files

BLOCK = re.compile(r"^```(?:python|pycon)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _examples(text: str) -> list[str]:
    return [block for block in BLOCK.findall(text) if ">>>" in block]


def _complaints(name: str, text: str) -> str:
    """What the examples of one document give instead. Its blocks build on each other, as a reader takes them."""
    test = doctest.DocTestParser().get_doctest("\n".join(_examples(text)), {}, name, name, 0)
    said: list[str] = []
    doctest.DocTestRunner().run(test, out=said.append)
    return "".join(said)


def test_the_examples_in_the_documents_give_what_they_show() -> None:
    documents = {name: text for name, text in text_files().items() if name.endswith(".md") and _examples(text)}
    assert "".join(_complaints(name, text) for name, text in documents.items()) == ""


def test_an_example_that_lies_is_found() -> None:
    assert "Got:\n    2" in _complaints("lie.md", "```python\n>>> 1 + 1\n3\n```\n")
