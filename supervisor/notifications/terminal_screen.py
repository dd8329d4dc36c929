"""Renders output as a terminal would show it: without overwritten text and colours.

Pure. Progress bars return to the start of their line (CR), or move up some lines and
erase. Without rendering, everything they ever showed would be on one line.
Lines neither scroll off nor wrap: they keep their full length.
"""

import re
import unicodedata

# Maximum distance of a cursor movement, so that a few bytes cannot allocate much memory.
MOST_STEPS = 500
_TAB = 8

_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|(?:\x1b\[|\x9b)(?P<given>[0-?]*)[ -/]*(?P<sequence>[@-~])"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"
    r"|\x1b[ -/]*[0-~]?"
    r"|(?P<control>[\x00-\x1f\x7f-\x9f])",
    re.DOTALL,
)


def shown(text: str) -> list[str]:
    """Return the lines that a terminal shows for this text, without trailing blank lines."""
    screen = _Screen()
    for token in _TOKEN.finditer(text):
        if token["text"]:
            screen.write(token["text"])
        elif token["control"]:
            screen.control(token["control"])
        elif token["sequence"]:
            first = token["given"].lstrip("?>=<").partition(";")[0]
            number = int(first[:6]) if first.isdecimal() and first.isascii() else None
            screen.sequence(token["sequence"], number)
    return screen.lines()


class _Screen:
    """Unbounded rows of cells; a wide character is followed by an empty cell."""

    def __init__(self) -> None:
        self._rows: list[list[str]] = [[]]
        self._row = 0
        self._column = 0

    def lines(self) -> list[str]:
        """Return the rows as text, without trailing blanks and blank lines."""
        found = ["".join(row).rstrip() for row in self._rows]
        while found and not found[-1]:
            found.pop()
        return found

    def write(self, text: str) -> None:
        """Write characters at the cursor, replacing those in the row."""
        row = self._rows[self._row]
        if len(row) < self._column:
            row += [" "] * (self._column - len(row))
        cells = list(text) if text.isascii() else self._cells(text)
        end = self._column + len(cells)
        # Overwriting one half of a wide character blanks the other half.
        if self._column and row[self._column : self._column + 1] == [""]:
            row[self._column - 1] = " "
        if row[end : end + 1] == [""]:
            row[end] = " "
        row[self._column : end] = cells
        self._column = end

    def control(self, letter: str) -> None:
        """Handle a control character that moves the cursor; ignore all others."""
        if letter == "\r":
            self._column = 0
        elif letter == "\b":
            self._column = max(0, self._column - 1)
        elif letter == "\t":
            self._column += _TAB - self._column % _TAB
        elif letter in "\n\v\f\x85":
            self._column = 0
            self._move_rows(1)

    def sequence(self, final: str, number: int | None) -> None:
        """Handle a control sequence with its first number; ignore colours and unknown ones."""
        steps = min(number or 1, MOST_STEPS)
        match final:
            case "A" | "B" | "E" | "F":
                self._move_rows(steps if final in "BE" else -steps)
                self._column = 0 if final in "EF" else self._column
            case "C" | "D" | "G" | "`":
                self._column = max(0, self._target(final, steps))
            case "H" | "f":  # the position of the window's top is unknown
                self._rows, self._row, self._column = [[]], 0, 0
            case "J":
                self._erase_rows(number or 0)
            case "K":
                self._erase_in_row(number or 0)
            case "P":
                del self._rows[self._row][self._column : self._column + steps]
            case "X":
                row = self._rows[self._row][self._column : self._column + steps]
                self._rows[self._row][self._column : self._column + steps] = [" "] * len(row)

    def _target(self, final: str, steps: int) -> int:
        if final in "G`":
            return steps - 1
        if final == "D":
            return self._column - steps
        # Only text makes a line longer than MOST_STEPS; a cursor movement does not.
        return max(self._column, min(self._column + steps, MOST_STEPS))

    def _cells(self, text: str) -> list[str]:
        cells: list[str] = []
        for letter in text:
            if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
                if cells:  # a combining mark joins the character before it
                    cells[-1 if cells[-1] else -2] += letter
                continue
            cells.append(letter)
            if unicodedata.east_asian_width(letter) in "WF":
                cells.append("")
        return cells

    def _move_rows(self, steps: int) -> None:
        self._row = max(0, self._row + steps)
        missing = self._row + 1 - len(self._rows)
        self._rows += [[] for _ in range(missing)]

    def _erase_rows(self, how: int) -> None:
        if how >= 2:
            self._rows, self._row = [[]], 0
        elif how == 1:
            self._rows[: self._row] = [[] for _ in range(self._row)]
            self._erase_in_row(1)
        else:
            del self._rows[self._row + 1 :]
            self._erase_in_row(0)

    def _erase_in_row(self, how: int) -> None:
        row = self._rows[self._row]
        if how == 0:
            del row[self._column :]
        elif how == 1:
            row[: self._column + 1] = [" "] * min(len(row), self._column + 1)
        else:
            row.clear()
