"""Detect texts given as a path that are not local paths, such as URLs and remote paths.

Pure, standard library only. Used as a path, `s3://bucket` would create a local folder
named `s3:`, whose backups are lost with the machine.
"""

import re

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_SCHEME = re.compile(
    r"(file|sqlite3?|s3|gs|gcs|b2|az|azure|abfs|swift|rclone|s?ftp|https?|smb|cifs|nfs|rsync|ssh"
    r"|scp|webdav|davs?|postgres(?:ql)?|mysql|gdrive|dropbox)[A-Za-z0-9+.-]*:(?!/?$)"
)
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_REMOTE = re.compile(
    r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*:/|[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:"
)
_HOME = re.compile(r"~[A-Za-z0-9._-]*(?:/|$)")
_LOCAL = re.compile(r"(?:file|sqlite3?):(?://(?:localhost)?)?(/.*)", re.DOTALL)


def mistake(text: str) -> str:
    """Return why a text is not a local path and what to write, or "" if it may be one.

    Text after a scheme is not repeated, because it may contain a password.
    """
    scheme = _URL.match(text) or _SCHEME.match(text)
    if scheme:
        local = _LOCAL.fullmatch(text)
        hint = f': write "{re.sub("^/+", "/", local[1])}"' if local else ""
        return f'expected a path, got a URL that begins with "{scheme[0]}"{hint}'
    if _WINDOWS.match(text):
        return "expected a path of this machine, got one of Windows"
    if _REMOTE.match(text):
        return "expected a path of this machine, got one of another host"
    if _HOME.match(text):
        return 'expected a path, got "~", which no shell replaces here: write "${HOME}/..."'
    if text.startswith(":memory:"):
        return 'expected the path of a file, got ":memory:"'
    return ""
