"""What the runbook says that a worker says, it says."""

import re

from tests.tidy.tree import python_files, text_files

ROW = re.compile(r"^\| `([^`]+)`", re.MULTILINE)


def test_every_line_in_the_runbook_is_one_that_the_product_writes() -> None:
    product = "\n".join(python_files("streams").values())
    # A string may go on in the next line of the source, with something put in.
    words = re.sub(r'"\s*f?"', "", product)
    said = [
        line.removesuffix("_total").partition("{")[0].removesuffix("_total")
        for line in ROW.findall(text_files()["docs/runbook.md"])
    ]
    assert len(said) > 10
    assert [line for line in said if line not in words] == []
