"""HTTP sessions of requests that add no credentials of their own.

requests takes a user and a password from the user's .netrc for every host that stands
there, or for all hosts by its entry `default`. They would replace an Authorization header
and go to servers that were never meant. It imports requests, so it is for runs and child
processes, never for the supervisor itself.
"""

import requests
from requests.auth import HTTPBasicAuth
from requests.utils import get_auth_from_url


class Session(requests.Session):
    """A session whose credentials are those of the request and of its URL."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = _of_url

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Remove the credentials from a redirected request to another host."""
        before, after = response.request.url, prepared_request.url
        if self.should_strip_auth(before, after):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop("Authorization", None)


def _of_url(request: requests.PreparedRequest) -> requests.PreparedRequest:
    user, password = get_auth_from_url(request.url or "")
    if not user and not password:
        return request
    # As bytes: requests sends a text as Latin-1, and fails for what that lacks (RFC 7617).
    signed: requests.PreparedRequest = HTTPBasicAuth(user.encode(), password.encode())(request)
    return signed
