"""Secrets -> `***`, in every text that leaves: logs, alerts, rows, answers.

Pure. What counts as a secret is decided where jobs.yaml is read; passwords
inside URLs are masked wherever they turn up.
"""

import re
from collections.abc import Callable, Iterable

_URL_PASSWORD = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(@)")


def masker(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that masks these texts, longest first, and URL passwords."""
    known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, known))) if known else None

    def mask(text: str) -> str:
        if pattern is not None:
            text = pattern.sub("***", text)
        return _URL_PASSWORD.sub(r"\1***\2", text) if "://" in text else text

    return mask
