"""Clients of the object store on this machine (S3, IAM, STS), whose errors are the stand-in's."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.plugins.codec import CloudError


class StoreError(CloudError):
    """The store refused; `code` is AWS's name for the reason ("404" for a HEAD request, which has no body)."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Client:
    """A boto3 client that raises StoreError, or CloudError when nothing answers.

    Buckets are addressed by path, since names under a loopback address do not resolve.
    """

    def __init__(self, service: str, endpoint: str, access_key: str, secret_key: str, region: str) -> None:
        self._client: Any = boto3.client(  # pyright: ignore[reportCallIssue]
            service,  # pyright: ignore[reportArgumentType]
            endpoint_url=endpoint,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name=region,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"mode": "standard", "total_max_attempts": 5},
                proxies={},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def __call__(self, operation: str, **arguments: Any) -> Any:
        """Run `operation` (boto3's name for it) and give its answer."""
        try:
            return getattr(self._client, operation)(**arguments)
        except ClientError as error:
            details = error.response.get("Error", {})
            code, message = details.get("Code", ""), details.get("Message", "")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "?")
            raise StoreError(code, f"{error.operation_name}: {code}: {message} (status {status})") from error
        except BotoCoreError as error:
            raise CloudError(f"{operation}: {error}; is the local cloud running?") from error

    def find(self, operation: str, *absent: str, **arguments: Any) -> Any:
        """Like a call, but None when the answer is one of the codes that mean there is nothing."""
        try:
            return self(operation, **arguments)
        except StoreError as error:
            if error.code in {*absent, "404"}:
                return None
            raise


def empty_bucket(client: Client, bucket: str) -> None:
    """Remove every version and delete marker, whole pages at a time."""
    while True:
        page = client("list_object_versions", Bucket=bucket)
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if not found:
            return
        objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
        answer = client("delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        if errors := answer.get("Errors"):
            first = errors[0]
            raise CloudError(f"cannot empty bucket {bucket}: {first['Key']}: {first['Code']}: {first['Message']}")
