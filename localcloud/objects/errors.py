"""The one exception with which a request is refused, in S3's and in IAM's XML."""

from __future__ import annotations

from xml.sax.saxutils import escape


class RefusalError(Exception):
    """A request that ends here. `status` is HTTP's, `code` is the name that AWS gives to the error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def s3_xml(self) -> bytes:
        """The body as S3 writes it."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{self.code}</Code><Message>{escape(str(self))}</Message><RequestId>local</RequestId></Error>"
        ).encode()

    def query_xml(self) -> bytes:
        """The body as IAM and STS write it."""
        return (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{self.code}</Code><Message>{escape(str(self))}</Message>"
            "</Error><RequestId>local</RequestId></ErrorResponse>"
        ).encode()


def denied(message: str = "Access Denied") -> RefusalError:
    """403 AccessDenied."""
    return RefusalError(403, "AccessDenied", message)
