"""Convert external text so that it can be encoded, shown and stored.

Python keeps a byte that is not UTF-8 as a lone surrogate (file names, environment,
arguments, host names), and JSON can contain one. UTF-8, JSON and SQLite cannot store it,
so it is replaced on input. Standard library only.
"""

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


def readable(text: str) -> str:
    r"""Return the text with `\xe9` in place of a byte that is not UTF-8.

    A surrogate that encodes no byte becomes `\ud800`. A text without surrogates is
    returned unchanged.
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
