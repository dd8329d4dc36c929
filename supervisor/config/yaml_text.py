"""Texts as jobs.yaml holds them: quoted, on one line, with `${` kept from being replaced.

Pure.
"""

import yaml


def mapping(pairs: tuple[tuple[str, str], ...]) -> str:
    """`{A: "x", B: "y"}`."""
    return "{" + ", ".join(f"{name}: {value(text)}" for name, text in pairs) + "}"


def value(text: str) -> str:
    """A text where `${` would be replaced: it is written `$${`."""
    return scalar(text.replace("${", "$${"))


def scalar(text: str) -> str:
    """A text in double quotes, on one line, as YAML writes it."""
    dumped: str = yaml.dump(text, default_style='"', width=float("inf"), allow_unicode=True)
    return dumped.strip()


def comment(text: str) -> str:
    """A comment as YAML can hold it."""
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in text
    )
