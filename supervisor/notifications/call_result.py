"""The result of a call, as a value.

A module of its own: the child process of heartbeats needs nothing else of this package.
"""

from msgspec import Struct


class CallResult(Struct, frozen=True):
    """The result of a call: success, or the cause of the failure.

    refused: the server rejects the request, so a retry would not help.
    is_bad_request: the server does not understand the body.
    """

    ok: bool
    cause: str = ""
    retry_after_s: float | None = None
    refused: bool = False
    is_bad_request: bool = False
