"""Output as a terminal would show it: what was written over is gone, colours are, too.

Pure. Progress bars go back to the beginning of their line (CR), or up some lines
and erase; read as a file, all that they ever showed would stand in one line.
Nothing scrolls off and nothing wraps: the lines are as long as they were written.
"""

import re
import unicodedata

# No sequence moves further than that, so that a few bytes cost no memory.
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
    """The lines that stand on a terminal after it was sent this, without blank ones at the end."""
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
    """Rows of cells without end; a wide character has an empty cell behind it."""

    def __init__(self) -> None:
        self._rows: list[list[str]] = [[]]
        self._row = 0
        self._column = 0

    def lines(self) -> list[str]:
        """What stands in the rows."""
        found = ["".join(row).rstrip() for row in self._rows]
        while found and not found[-1]:
            found.pop()
        return found

    def write(self, text: str) -> None:
        """Characters from the cursor on, over those that stand there."""
        row = self._rows[self._row]
        if len(row) < self._column:
            row += [" "] * (self._column - len(row))
        cells = list(text) if text.isascii() else self._cells(text)
        end = self._column + len(cells)
        # Half a wide character is none.
        if self._column and row[self._column : self._column + 1] == [""]:
            row[self._column - 1] = " "
        if row[end : end + 1] == [""]:
            row[end] = " "
        row[self._column : end] = cells
        self._column = end

    def control(self, letter: str) -> None:
        """A control character that moves the cursor; others do nothing that stays."""
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
        """A control sequence with its first number; colours and all unknown do nothing."""
        steps = min(number or 1, MOST_STEPS)
        match final:
            case "A" | "B" | "E" | "F":
                self._move_rows(steps if final in "BE" else -steps)
                self._column = 0 if final in "EF" else self._column
            case "C" | "D" | "G" | "`":
                self._column = max(0, self._target(final, steps))
            case "H" | "f":  # where the top of the window is, is not known
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
        # A line that is longer was written so; a movement alone makes none longer.
        return max(self._column, min(self._column + steps, MOST_STEPS))

    def _cells(self, text: str) -> list[str]:
        cells: list[str] = []
        for letter in text:
            if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
                if cells:  # it belongs to the character before it
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
