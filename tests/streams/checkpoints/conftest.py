"""Each place that checkpoints can be kept in, in turn."""

from collections.abc import Iterator

import pytest

from tests.streams.checkpoints.storage import Storage, bucket, directory, s3_server, use


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["directory", "bucket"])
def storage(request, tmp_path, monkeypatch) -> Storage:
    if request.param == "directory":
        return directory(tmp_path / "checkpoints")
    use(monkeypatch, request.getfixturevalue("endpoint"))
    return bucket()
