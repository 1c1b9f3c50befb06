"""The object store of the local cloud: S3, IAM and STS for AWS, S3 for Spaces; durable, on one port.

moto does the protocol (XML in and out, listing, every bucket sub-resource, IAM's API) and is embedded as a library:
its response classes are called directly, its registries `s3_backends` and `iam_backends` hold the state in memory,
and `backend` puts subclasses of its models there. It is pinned to one exact version because those subclasses override
methods of its models, and because its objects are what is pickled into the database; a store that another version wrote
is refused with a message.

What moto lacks is done here:

- `signature`: moto checks header signatures only: no presigned URLs, no signed chunks, no clock, no hash of the body.
- `policy`, `actions`, `access`: moto ignores conditions, asks the rights of a batch delete for the bucket and not for
  its keys, knows no right to bypass a retention, and takes `.` in a pattern for any character.
- `bodies`, `reading`: moto holds each request and each object in memory; here a body streams into a file and out of it.
- `models`, `backend`: moto loses versions when versioning is suspended, weakens locks on request, does not lock objects
  that come in parts, and copies every object to list versions.
- `responses`: no GET of a retention; lifecycle rules come back with parts missing.
- `database`: moto forgets everything at exit.

One process holds one store: moto's registries are module globals.
"""

from localcloud.objects.database import StoreVersionError
from localcloud.objects.server import ObjectServer, serve
from localcloud.objects.store import Credentials, ObjectStore

__all__ = ["Credentials", "ObjectServer", "ObjectStore", "StoreVersionError", "serve"]
