"""Text from outside -> text that can be encoded, shown and stored everywhere.

Python keeps a byte that is not UTF-8 as a lone surrogate (file names, the environment,
arguments, host names), and JSON can spell one. UTF-8, JSON and SQLite have no form for
it, so it is replaced where a text comes in. Standard library only.
"""

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


def readable(text: str) -> str:
    r"""Return the text with `\xe9` in place of a byte that is not UTF-8.

    A surrogate that stands for no byte becomes `\ud800`. A text without any is returned
    as it is.
    """
    if text.isascii():
        return text
    return _SURROGATE.sub(_escaped, text)


def is_utf8(text: str) -> bool:
    """Return whether the text can be encoded as UTF-8."""
    return _SURROGATE.search(text) is None


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
