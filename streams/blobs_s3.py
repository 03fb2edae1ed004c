"""Blobs in a bucket of Amazon S3, or of whatever speaks its language.

Who we are, the region and the endpoint come from where boto3 looks for them: the environment (``AWS_ACCESS_KEY_ID``,
``AWS_ENDPOINT_URL_S3``, ...), its files, or the machine's role. Nothing of it is shown.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from streams.blobs import S3, BlobLost, BlobsError, Found
from streams.errors import UsageError

# An endpoint that is not there is reported within half a minute; a slow answer is waited for. How often boto3 tries
# again can be set as usual, by AWS_MAX_ATTEMPTS.
_PATIENCE = Config(connect_timeout=5, read_timeout=60)

_LOGIN = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role"
_WRONG_LOGIN = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "ExpiredToken",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    }
)
_FORBIDDEN = frozenset({"AccessDenied", "403", "AllAccessDisabled"})
_ELSEWHERE = frozenset(
    {"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
_ABSENT = frozenset({"NoSuchKey", "404"})


class S3Blobs:
    """A put is one request: it is seen whole or not at all. A file may have 5 GiB, what one request may carry."""

    def __init__(self, where: str) -> None:
        bucket, _, prefix = where.removeprefix(S3).partition("/")
        if not bucket:
            raise UsageError("names no bucket", where=where, advice="name it as s3://bucket/prefix")
        self._bucket, self._where = bucket, where
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        with self._told():
            self._client = boto3.session.Session().client("s3", config=_PATIENCE)
            self._client.list_objects_v2(Bucket=bucket, Prefix=self._prefix, MaxKeys=1)

    def put_file(self, name: str, path: Path) -> None:
        with path.open("rb") as file, self._told(name):
            self._client.put_object(**self._object(name), Body=file)

    def put_bytes(self, name: str, content: bytes) -> None:
        with self._told(name):
            self._client.put_object(**self._object(name), Body=content)

    def get_file(self, name: str, path: Path) -> None:
        with path.open("wb") as file, self._told(name):
            body = self._client.get_object(**self._object(name))["Body"]
            with body:
                shutil.copyfileobj(body, file, 1 << 20)

    def get_bytes(self, name: str) -> bytes:
        with self._told(name):
            body = self._client.get_object(**self._object(name))["Body"]
            with body:
                content: bytes = body.read()
        return content

    def exists(self, name: str) -> bool:
        try:
            with self._told(name):
                self._client.head_object(**self._object(name))
        except BlobLost:
            return False
        return True

    def list(self, prefix: str) -> Iterator[Found]:
        with self._told():
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for entry in page.get("Contents", ()):
                    name = entry["Key"].removeprefix(self._prefix)
                    yield Found(name, entry["Size"], entry["LastModified"].timestamp())

    def touch(self, name: str) -> bool:
        """The bucket copies the object onto itself; nothing of it comes this way."""
        target = self._object(name)
        try:
            with self._told(name):
                self._client.copy_object(**target, CopySource=target, MetadataDirective="REPLACE")
        except BlobLost:
            return False
        return True

    def delete(self, name: str) -> None:
        with self._told():
            self._client.delete_object(**self._object(name))

    def now(self) -> float:
        """The cheapest question there is; a bucket's times are whole seconds."""
        with self._told():
            answer = self._client.head_bucket(Bucket=self._bucket)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()

    def _object(self, name: str) -> Mapping[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}

    @contextmanager
    def _told(self, name: str = "") -> Iterator[None]:
        """What the bucket says, as an error of ours. With a name, what is missing is that blob."""
        try:
            yield
        except ClientError as error:
            raise self._refusal(error.response.get("Error", {}), name) from error
        except (BotoCoreError, ValueError) as error:
            raise self._failure(error) from error

    def _refusal(self, said: Mapping[str, Any], name: str) -> BlobsError:
        code = str(said.get("Code", ""))
        if name and code in _ABSENT:
            return BlobLost(f"{name}: no such object", where=self._where)
        what, advice = _meaning(code, self._bucket)
        return BlobsError(f"{what} ({code}: {said.get('Message', '')})", where=self._where, advice=advice)

    def _failure(self, error: Exception) -> BlobsError:
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            return BlobsError("no credentials were found", where=self._where, advice=_LOGIN)
        if isinstance(error, ConnectionError | HTTPClientError):
            what = f"the storage does not answer ({type(error).__name__})"
            advice = "is it running, and do AWS_ENDPOINT_URL_S3 and AWS_REGION say where?"
            return BlobsError(what, where=self._where, advice=advice)
        advice = "see the AWS settings in the environment and in boto3's files"
        return BlobsError(f"cannot be used: {error}", where=self._where, advice=advice)


def _meaning(code: str, bucket: str) -> tuple[str, str]:
    """What is wrong and what to do."""
    if code in _WRONG_LOGIN:
        return "the credentials are wrong", _LOGIN
    if code in _FORBIDDEN:
        needed = "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"
        return "these credentials may not do that", f"allow them {needed} on bucket {bucket}"
    if code == "NoSuchBucket":
        return f"there is no bucket {bucket}", "make it, or name another in state.checkpoints"
    if code in _ELSEWHERE:
        return f"bucket {bucket} is in another region", "set AWS_REGION to where it is"
    return "the storage refuses", "see what it says, and try again"
