"""How an object store keeps an object, read from the headers of a HEAD request.

S3: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html; the lock's headers
are there only for credentials with s3:GetObjectRetention and s3:GetObjectLegalHold. Azure:
https://learn.microsoft.com/rest/api/storageservices/get-blob-properties.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from workers.backup.places.store import Protection

_LONGEST = 64


def of_headers(headers: Mapping[str, str]) -> Protection:
    """Return what the headers say (names in any case); what is unknown or absent is no lock."""
    known = {name.lower(): value.strip() for name, value in headers.items()}
    version = known.get("x-amz-version-id") or known.get("x-ms-version-id") or "null"
    hold = known.get("x-amz-object-lock-legal-hold") or known.get("x-ms-legal-hold") or ""
    until = known.get("x-amz-object-lock-retain-until-date")
    policy = known.get("x-ms-immutability-policy-until-date")
    return Protection(
        is_versioned=version != "null",
        kept_until=_instant(until or policy or ""),
        is_on_hold=hold.lower() in ("on", "true"),
    )


def _instant(text: str) -> datetime | None:
    """Return an ISO 8601 (S3) or RFC 1123 (Azure) time in UTC; None for anything else."""
    if not text or len(text) > _LONGEST:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            found = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError):
            return None
    try:
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return None
