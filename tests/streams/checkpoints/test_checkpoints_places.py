"""Where checkpoints can be kept: every place keeps the same promises, and one that cannot be used says why."""

import os
import sys

import boto3
import pytest

from streams.blobs import BlobLost, BlobsError
from streams.blobs_directory import DirectoryBlobs
from streams.blobs_places import open_blobs
from streams.checkpoints import Checkpoints
from streams.errors import DriftlineError, UsageError
from tests.streams.checkpoints.rocks import grown
from tests.streams.checkpoints.storage import Storage, bucket, check_logins, directory, s3_server, use


def listed(storage: Storage, prefix: str) -> dict[str, int]:
    return {found.name: found.size for found in storage.blobs().list(prefix)}


def test_what_is_put_is_there_under_its_name(storage, tmp_path):
    blobs = storage.blobs()
    (tmp_path / "source").write_bytes(b"from a file")
    blobs.put_file("a/b/file", tmp_path / "source")
    blobs.put_bytes("a/b/bytes", b"as bytes")
    blobs.put_bytes("a/bc", b"")
    assert (blobs.get_bytes("a/b/file"), blobs.get_bytes("a/b/bytes")) == (b"from a file", b"as bytes")
    blobs.get_file("a/b/bytes", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"as bytes"
    assert (blobs.exists("a/b/file"), blobs.exists("a/b"), blobs.exists("a/c")) == (True, False, False)
    assert listed(storage, "a/b/") == {"a/b/file": 11, "a/b/bytes": 8}
    assert listed(storage, "nothing/") == {}


def test_putting_again_replaces_and_deleting_again_is_no_error(storage):
    blobs = storage.blobs()
    for content in (b"one", b"two", b"two"):
        blobs.put_bytes("a/b", content)
    assert blobs.get_bytes("a/b") == b"two"
    for _ in range(2):
        blobs.delete("a/b")
    assert (blobs.exists("a/b"), listed(storage, "a/")) == (False, {})


def test_what_is_not_there_is_said_by_name(storage, tmp_path):
    blobs = storage.blobs()
    with pytest.raises(BlobLost, match="a/b: "):
        blobs.get_bytes("a/b")
    with pytest.raises(BlobLost, match="a/b: "):
        blobs.get_file("a/b", tmp_path / "target")
    assert blobs.touch("a/b") is False


def test_a_touch_makes_it_new(storage):
    blobs = storage.blobs()
    blobs.put_bytes("a/b", b"kept")
    storage.age(1000)
    (old,) = blobs.list("a/")
    assert blobs.now() - old.written >= 999
    assert blobs.touch("a/b") is True
    (new,) = blobs.list("a/")
    assert new.written >= old.written + 999
    assert blobs.get_bytes("a/b") == b"kept"


def test_more_than_one_page_is_listed(monkeypatch, endpoint):
    use(monkeypatch, endpoint)
    storage = bucket()
    blobs = storage.blobs()
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for number in range(7):
        blobs.put_bytes(f"a/{number}", b"")
    assert sorted(listed(storage, "a/")) == [f"a/{number}" for number in range(7)]


def test_a_write_that_fails_leaves_nothing_in_a_directory(tmp_path):
    blobs = DirectoryBlobs(tmp_path)
    blobs.put_bytes("a/b/c", b"")
    with pytest.raises(BlobsError, match="cannot be used to keep checkpoints: Is a directory"):
        blobs.put_bytes("a/b", b"there is a folder of that name")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "a" / "b" / "c"]


def test_what_killed_writers_left_in_a_directory_is_cleared_away_after_a_day(tmp_path):
    storage = directory(tmp_path)
    storage.blobs()
    (tmp_path / "partial" / "old").write_bytes(b"half")
    storage.age(25 * 3600)
    (tmp_path / "partial" / "new").write_bytes(b"half")
    storage.blobs()
    assert os.listdir(tmp_path / "partial") == ["new"]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (
            "gs://bucket/prefix",
            "gs://bucket/prefix: no such kind of storage is known; name a directory, or a bucket as",
        ),
        ("s3://", "s3://: names no bucket; name it as s3://bucket/prefix"),
    ],
)
def test_a_place_of_no_known_kind_is_refused(where, said):
    with pytest.raises(UsageError, match=said):
        open_blobs(where)


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(BlobsError, match=r"file/below: cannot be used to keep checkpoints: File exists .*may write to"):
        open_blobs(str(tmp_path / "file" / "below"))


def test_without_boto3_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.delitem(sys.modules, "streams.blobs_s3", raising=False)
    with pytest.raises(UsageError, match=r"s3://bucket: a bucket needs boto3, .*pip install 'driftline\[s3\]'"):
        open_blobs("s3://bucket")


def test_a_bucket_that_is_not_there_is_named(monkeypatch, endpoint):
    use(monkeypatch, endpoint)
    with pytest.raises(BlobsError, match=r"s3://nowhere/x: there is no bucket nowhere \(NoSuchBucket: .*; make it"):
        open_blobs("s3://nowhere/x")


def test_an_endpoint_that_does_not_answer_is_told(monkeypatch):
    use(monkeypatch, "http://127.0.0.1:1")
    with pytest.raises(
        BlobsError, match=r"the storage does not answer \(EndpointConnectionError\).*AWS_ENDPOINT_URL_S3"
    ):
        open_blobs("s3://bucket")


def test_an_endpoint_that_is_none_is_told(monkeypatch):
    use(monkeypatch, "no url")
    with pytest.raises(BlobsError, match="s3://bucket: cannot be used: Invalid endpoint: no url"):
        open_blobs("s3://bucket")


def test_missing_credentials_are_told(monkeypatch, endpoint):
    use(monkeypatch, endpoint)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(BlobsError, match="no credentials were found; set AWS_ACCESS_KEY_ID"):
        open_blobs("s3://bucket")


@pytest.fixture
def login(monkeypatch, endpoint) -> tuple[str, str]:
    """A user who may do nothing, on a server that looks at who asks."""
    use(monkeypatch, endpoint)
    boto3.client("s3").create_bucket(Bucket="private")
    iam = boto3.client("iam")
    iam.create_user(UserName="guest")
    key = iam.create_access_key(UserName="guest")["AccessKey"]
    check_logins(monkeypatch)
    return key["AccessKeyId"], key["SecretAccessKey"]


def test_wrong_credentials_are_told_and_shown_nowhere(monkeypatch, endpoint, login):
    user, password = login
    for wrong_user, wrong_password, said in [
        ("AKIAUNKNOWN", "swordfish", "the credentials are wrong (InvalidAccessKeyId"),
        (user, "swordfish", "the credentials are wrong (SignatureDoesNotMatch"),
        (user, password, "these credentials may not do that (AccessDenied"),
    ]:
        use(monkeypatch, endpoint, user=wrong_user, password=wrong_password)
        with pytest.raises(BlobsError) as refused:
            open_blobs("s3://private/x")
        assert said in str(refused.value)
        assert wrong_password not in f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__cause__}"


def test_a_storage_that_stopped_answering_is_an_error_and_not_the_absence_of_checkpoints(monkeypatch, tmp_path):
    state = grown(tmp_path, 1)
    with s3_server() as endpoint:
        use(monkeypatch, endpoint)
        storage = bucket()
        checkpoints = Checkpoints(storage.blobs(), group="driftline", kept=1)
        saved = checkpoints.save(0, state.checkpoint(), state.positions)
    for ask in (
        lambda: checkpoints.newest(0),
        lambda: checkpoints.save(0, tmp_path / "checkpoint-1", {}),
        lambda: checkpoints.fetch(saved, tmp_path / "fetched"),
    ):
        with pytest.raises(BlobsError, match="the storage does not answer") as told:
            ask()
        assert isinstance(told.value, DriftlineError)
    assert not (tmp_path / "fetched").exists()
