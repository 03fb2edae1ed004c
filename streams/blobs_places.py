"""Which place for checkpoints a setting names."""

from pathlib import Path

from streams.blobs import S3, Blobs
from streams.blobs_directory import DirectoryBlobs
from streams.errors import UsageError


def open_blobs(where: str) -> Blobs:
    """A directory's path or ``s3://bucket/prefix``. What cannot be used is refused here and not at the first write."""
    if where.startswith(S3):
        return _open_bucket(where)
    if "://" in where:
        advice = "name a directory, or a bucket as s3://bucket/prefix"
        raise UsageError("no such kind of storage is known", where=where, advice=advice)
    return DirectoryBlobs(Path(where))


def _open_bucket(where: str) -> Blobs:
    try:
        from streams.blobs_s3 import S3Blobs  # noqa: PLC0415 - boto3 is large, and not there without the extra
    except ModuleNotFoundError as error:
        if error.name not in ("boto3", "botocore"):
            raise
        advice = "install it with: pip install 'driftline[s3]'"
        raise UsageError("a bucket needs boto3, which is not installed", where=where, advice=advice) from error
    return S3Blobs(where)
