"""Escapes untrusted text for terminals and the log.

Control characters (ESC, newlines, BEL), direction overrides, zero-width and other
format characters can move a cursor, forge a line or hide a part of a name (Unicode
Technical Report 36, "Bidirectional Text Spoofing"). Each is replaced by its Python
escape: `\\x1b`, `\\n`, `\\u202e`. Printable characters are unchanged.
"""

import re

# Terminal control sequences (ECMA-48): CSI; OSC and other strings; other escape sequences.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
# All but newline, tab and carriage return, which lay out a program's output.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def escape_control(text: str) -> str:
    """Return the text on one line, with each non-printable character escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def keep_colours(text: str) -> str:
    """Return a program's output without control sequences, except colours and line layout."""
    pieces, done = list[str](), 0
    for found in _SEQUENCE.finditer(text):
        pieces.append(_CONTROL.sub("", text[done : found.start()]))
        if _COLOUR.fullmatch(found[0]):
            pieces.append(found[0])
        done = found.end()
    return "".join((*pieces, _CONTROL.sub("", text[done:])))
