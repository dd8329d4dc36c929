"""Text from outside, made safe to show: what acts instead of being seen is written out.

Control characters (ESC, newlines, BEL), direction overrides, zero-width and other
format characters can move a cursor, forge a line or hide a part of a name (Unicode
Technical Report 36, "Bidirectional Text Spoofing"). Each is shown as Python writes it:
`\\x1b`, `\\n`, `\\u202e`. Everything that can be seen stays as it is.
"""

import re

# Sequences by which programs control a terminal (ECMA-48): CSI, OSC and the like, others.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
# Besides newline, tab and carriage return, which lay out what a program prints.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def escape_control(text: str) -> str:
    """Return the text on one line, with everything that is not visible written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def keep_colours(text: str) -> str:
    """Return output of a program as a terminal may show it: lines and colours, no commands."""
    pieces, done = list[str](), 0
    for found in _SEQUENCE.finditer(text):
        pieces.append(_CONTROL.sub("", text[done : found.start()]))
        if _COLOUR.fullmatch(found[0]):
            pieces.append(found[0])
        done = found.end()
    return "".join((*pieces, _CONTROL.sub("", text[done:])))
