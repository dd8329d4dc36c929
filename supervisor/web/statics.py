"""Static files from memory: read once, compressed once, kept by browsers for a year.

Their addresses change with their content. What needs two files of others is one request.
The style sheet is none of them: it stands in each page, so that the first paint does not
wait for a second request, and the policy of the page allows this one text by its hash.
"""

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

STATIC = Path(__file__).parent / "static"
HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml"}
# name of an address -> files; a file of its own name otherwise
_JOINED = {"htmx.js": ("htmx.min.js", "hx-sse.min.js")}
_LEAST_BYTES = 600


STYLE = (STATIC / "page.css").read_text()
STYLE_HASH = f"sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """Content of an address. packed: the same with gzip, None if that is not worth it."""

    content: bytes
    packed: bytes | None
    media_type: str
    version: str


@cache
def static_file(name: str) -> StaticFile:
    """Return the content of an address below /static/. Raises: KeyError."""
    if name not in _names():
        raise KeyError(name)
    parts = [(STATIC / part).read_bytes() for part in _JOINED.get(name, (name,))]
    content = b"\n;\n".join(parts)
    packed = gzip.compress(content, 9, mtime=0) if len(content) >= _LEAST_BYTES else None
    media_type = _TYPES.get(Path(name).suffix, "text/plain")
    return StaticFile(content, packed, media_type, hashlib.sha256(content).hexdigest()[:10])


async def get_static(request: Request) -> Response:
    """Answer `GET /static/NAME`."""
    try:
        found = static_file(request.path_params["name"])
    except KeyError as error:
        raise HTTPException(404) from error
    if found.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers = {**HEADERS, "Content-Encoding": "gzip"}
        return Response(found.packed, headers=headers, media_type=found.media_type)
    return Response(found.content, headers=HEADERS, media_type=found.media_type)


@cache
def _names() -> frozenset[str]:
    files = (file.name for file in STATIC.iterdir() if file.is_file() and file.suffix != ".css")
    return frozenset((*files, *_JOINED))
