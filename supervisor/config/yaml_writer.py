"""Writes texts as jobs.yaml holds them: quoted, on one line, with `${` escaped.

Pure.
"""

import yaml

from workers.text import readable


def mapping(pairs: tuple[tuple[str, str], ...]) -> str:
    """Return pairs as `{A: "x", B: "y"}`."""
    return "{" + ", ".join(f"{name}: {value(text)}" for name, text in pairs) + "}"


def value(text: str) -> str:
    """Return a quoted text with `${` escaped as `$${`, for keys that are interpolated."""
    return scalar(text.replace("${", "$${"))


def scalar(text: str) -> str:
    """Return a text in double quotes, on one line, as YAML writes it."""
    dumped: str = yaml.dump(text, default_style='"', width=float("inf"), allow_unicode=True)
    return dumped.strip()


def comment(text: str) -> str:
    """Return a comment with unprintable characters escaped, and bytes that are not UTF-8."""
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode()
        for c in readable(text)
    )
