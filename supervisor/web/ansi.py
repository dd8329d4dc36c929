"""A program's output as HTML: colours become CSS classes, all else is text.

rich reads the colour sequences (ECMA-48, SGR). A colour is taken as the nearest of the
sixteen of a terminal, since the page's policy allows no colours of its own in a text.
"""

import re
from collections.abc import Iterator

from markupsafe import Markup, escape
from rich.ansi import AnsiDecoder
from rich.color import Color, ColorSystem, ColorType
from rich.style import Style
from rich.text import Text

from supervisor.core.escape import keep_colours

# A line that is longer is cut: a browser lays out a line of a megabyte for seconds.
LONGEST_LINE = 8000
# They would show a text in another order than it has (Unicode TR 36).
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")


class AnsiLines:
    """Converts lines one after another; a colour stays until it is reset."""

    def __init__(self) -> None:
        self._decoder = AnsiDecoder()

    def html(self, text: str) -> Markup:
        """Return the lines of a text, each ending with a newline."""
        return Markup("").join(self._line(line) for line in _lines(text))

    def _line(self, line: str) -> Markup:
        if "\x1b" not in line and self._decoder.style == Style.null():
            return escape(line.rsplit("\r", 1)[-1]) + "\n"
        return Markup("").join(_spans(self._decoder.decode_line(line))) + "\n"


def _lines(text: str) -> Iterator[str]:
    escaped = _DIRECTION.sub(lambda found: ascii(found[0])[1:-1], keep_colours(text))
    for line in escaped.split("\n"):
        line = line.removesuffix("\r")
        if len(line) > LONGEST_LINE:
            yield f"{line[:LONGEST_LINE]} … ({len(line) - LONGEST_LINE} characters more)"
        else:
            yield line


def _spans(line: Text) -> Iterator[Markup]:
    done = 0
    for span in line.spans:
        yield escape(line.plain[done : span.start])
        piece, done = line.plain[span.start : span.end], span.end
        style = span.style if isinstance(span.style, Style) else Style.null()
        classes = " ".join(_classes(style))
        yield (
            Markup('<span class="{}">{}</span>').format(classes, piece)
            if classes
            else escape(piece)
        )
    yield escape(line.plain[done:])


def _classes(style: Style) -> Iterator[str]:
    for name in ("bold", "dim", "italic", "underline", "strike"):
        if getattr(style, name):
            yield f"a-{name}"
    front, back = (style.bgcolor, style.color) if style.reverse else (style.color, style.bgcolor)
    if style.reverse and front is None and back is None:
        yield "a-reverse"
    for prefix, colour in (("f", front), ("b", back)):
        number = _sixteen(colour)
        if number is not None:
            yield f"a-{prefix}{number}"


def _sixteen(colour: Color | None) -> int | None:
    if colour is None or colour.type is ColorType.DEFAULT:
        return None
    return colour.downgrade(ColorSystem.STANDARD).number
