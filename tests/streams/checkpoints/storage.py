"""Places to keep checkpoints for tests: a directory, and a bucket of an S3 server on this machine."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from streams.blobs import Blobs, Found
from streams.blobs_places import open_blobs


class Storage(NamedTuple):
    where: str
    age: Callable[[float], None]  # everything there becomes older by so many seconds

    def blobs(self) -> Blobs:
        return open_blobs(self.where)


def directory(root: Path) -> Storage:
    def age(seconds: float) -> None:
        for path in root.rglob("*"):
            if path.is_file():
                stat = path.stat()
                os.utime(path, (stat.st_atime - seconds, stat.st_mtime - seconds))

    return Storage(str(root), age)


def bucket() -> Storage:
    """A new one. The server runs in a thread of this process, so that a test can set its objects' times."""
    name = f"bucket-{uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=name)

    def age(seconds: float) -> None:
        for objects in s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[name].keys.values():
            objects.last_modified -= timedelta(seconds=seconds)

    return Storage(f"s3://{name}/some/prefix", age)


def use(monkeypatch: pytest.MonkeyPatch, endpoint: str, *, user: str = "someone", password: str = "x") -> None:  # noqa: S107
    """The usual variables, and none of this machine's own AWS settings."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_IAM", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", user)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", password)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for file in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(file, os.devnull)


@contextmanager
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def check_logins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of this process look at who asks only from now on."""
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)


class Watched:
    """Passes everything on, writes down what was uploaded, and lets a test act around the write of a manifest."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self.uploaded: list[str] = []
        self.manifests_read = 0
        self.before_manifest: Callable[[], None] = lambda: None
        self.after_manifest: Callable[[], None] = lambda: None
        self.after_touch: Callable[[str], None] = lambda _: None
        self.get_file, self.exists, self.delete, self.now = blobs.get_file, blobs.exists, blobs.delete, blobs.now

    def put_file(self, name: str, path: Path) -> None:
        self.uploaded.append(name.rpartition("/")[2])
        self._blobs.put_file(name, path)

    def put_bytes(self, name: str, content: bytes) -> None:
        self.before_manifest()
        self._blobs.put_bytes(name, content)
        self.after_manifest()

    def get_bytes(self, name: str) -> bytes:
        self.manifests_read += 1
        return self._blobs.get_bytes(name)

    def touch(self, name: str) -> bool:
        there = self._blobs.touch(name)
        self.after_touch(name)
        return there

    def list(self, prefix: str) -> Iterator[Found]:
        return self._blobs.list(prefix)
