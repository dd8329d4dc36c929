"""Static analysis of shell command lines.

Pure. Not a full parser of the language: it separates words, quotes, comments, groups and
operators, so that a background `&` is not confused with `&&`, `2>&1`, `&>` or an `&`
inside a quoted text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

_OPERATORS = re.compile(r"&&|\|\||;;&?|;&|\|&|&>>?|[<>]&|<<<|<<-?|>>|>\||[&|;()<>\n]")
_ENDS = frozenset(("&&", "||", "|", "|&", ";", ";;", "&", "(", ")", "\n"))
_SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh", "ash"))
# A value of a template (Jinja) that was not filled in; a format of docker is none.
UNFILLED = re.compile(r"\{\{\s*\w+(?:\.\w+)*\s*(?:\|[^{}]*)?\}\}")
_BEFORE = r"(?:^|[\s/])"
_KEEPS = "what the job starts ends with the job's own process; a daemon belongs to systemd"
_OUTSIDE = "it runs outside of this service, which does not see how it ends"
# Commands that detach from the waiting shell, and the note for each.
_DETACHING = tuple(
    (re.compile(_BEFORE + pattern), said)
    for pattern, said in (
        (r"nohup\s", f"nohup: {_KEEPS}"),
        (r"setsid\s", f"setsid: {_KEEPS}"),
        (r"screen\s(?=.*(?:-\w*d\w*m|-d\s+-m|-m\s+-d))", f"screen in the background: {_KEEPS}"),
        (r"tmux\s.*?new(?:-session)?\s(?=.*-\w*d)", f"tmux in the background: {_KEEPS}"),
        (r"disown\b", f"disown: {_KEEPS}"),
        (r"coproc\s", f"coproc: {_KEEPS}"),
        (r"(?:daemonize|daemon)\s", f"a daemon: {_KEEPS}"),
        (r"start-stop-daemon\s.*(?:\s-b\b|--background)", f"a daemon: {_KEEPS}"),
        (r"ssh\s(?=.*\s-\w*f)", f"ssh -f goes on in the background: {_KEEPS}"),
        (r"systemd-run\s(?!.*--(?:wait|pipe|scope))", f"systemd-run: {_OUTSIDE}"),
    )
)
_QUEUING = re.compile(r"(?:sudo\s+)?(?:\S*/)?(?:at|batch)(?:\s+(?!-[lcdrV])|$)")


class JobRecord(StrEnum):
    """Kind of a piece of a command line."""

    WORD = "word"
    OPERATOR = "operator"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True)
class Piece:
    """A word as written, an operator, or a comment; with its start index and group depth."""

    mark: JobRecord
    text: str
    at: int
    depth: int


@dataclass(frozen=True, slots=True)
class Foreground:
    """A command that the shell waits for; notes: what was changed, or is uncertain."""

    command: str
    notes: tuple[str, ...] = ()


def set_of(words: str) -> frozenset[str]:
    """Return the words of a whitespace-separated list."""
    return frozenset(words.split())


def pieces(command: str) -> Iterator[Piece]:
    """Yield the words, operators and comments of a command, in order."""
    at, depth = 0, 0
    while at < len(command):
        if command[at] in " \t":
            at += 1
            continue
        if command[at] == "#":
            end = command.find("\n", at)
            end = len(command) if end < 0 else end
            yield Piece(JobRecord.COMMENT, command[at:end], at, depth)
            at = end
            continue
        operator = _OPERATORS.match(command, at)
        if operator and not command.startswith("((", at):
            depth = max(0, depth - (operator[0] == ")"))
            yield Piece(JobRecord.OPERATOR, operator[0], at, depth)
            depth += operator[0] == "("
            at = operator.end()
            continue
        end = _word_end(command, at)
        yield Piece(JobRecord.WORD, command[at:end], at, depth)
        at = end


def simple_commands(command: str) -> list[list[str]]:
    """Return the words of each simple command, without redirections."""
    found: list[list[str]] = [[]]
    is_target = False
    for piece in pieces(command):
        if piece.mark is JobRecord.OPERATOR:
            if piece.text in _ENDS:
                found.append([])
            is_target = piece.text not in _ENDS
        elif piece.mark is JobRecord.WORD and not is_target:
            found[-1].append(piece.text)
        else:
            is_target = False
    return [words for words in found if words]


def in_foreground(command: str, shell: str = "/bin/sh") -> Foreground:
    """Return the command without a background `&` that would end its job at once.

    A final `&` is removed. For an `&` before another command, a `wait` is added. Other ways
    to detach from the shell are only noted.
    """
    written, notes = _redirected(command, shell)
    found = list(pieces(written))
    places = [n for n, piece in enumerate(found) if piece.text == "&" and _is_operator(piece)]
    last = [n for n in places if _is_last(found, n)]
    inner = [found[n] for n in places if n not in last]
    for n in reversed(last):
        at = found[n].at
        is_in_braces = [piece.text for piece in found[n + 1 : n + 2]] == ["}"]
        before = written[:at] + ";" if is_in_braces else written[:at].rstrip(" \t")
        written = before + written[at + 1 :]
    if last:
        notes.append(
            "the last & is left out: with it the job ends at once, and what it starts is killed"
        )
    if inner and not any(piece.text == "wait" for piece in found):
        if all(piece.depth == 0 for piece in inner):
            written = _with_wait(written)
            notes.append("`wait` is added: what & starts would be ended with the shell")
        else:
            notes.append("what & starts in ( ) is ended with the job: leave the & out")
    return Foreground(written, (*notes, *_detached(command)))


def _with_wait(command: str) -> str:
    """Append `wait` to the command, or insert it before a final `exit`."""
    ends = [
        p for p in pieces(command) if p.mark is JobRecord.WORD and p.text == "exit" and not p.depth
    ]
    if ends:
        return f"{command[: ends[-1].at]}wait; {command[ends[-1].at :]}"
    return f"{command}\nwait"


def _redirected(command: str, shell: str) -> tuple[str, list[str]]:
    """Rewrite `&> file` as `> file 2>&1`: a shell other than bash parses `&>` as `&` and `>`."""
    found = list(pieces(command))
    written = command
    for n in range(len(found) - 2, -1, -1):
        piece, target = found[n], found[n + 1]
        if shell == "/bin/sh" and piece.text in ("&>", "&>>") and _is_operator(piece):
            end = target.at + len(target.text)
            written = f"{written[: piece.at]}{written[piece.at + 1 : end]} 2>&1{written[end:]}"
    notes = ["&> is written as > and 2>&1: to sh it is a & that starts a background job"]
    return written, notes if written != command else []


def _is_operator(piece: Piece) -> bool:
    return piece.mark is JobRecord.OPERATOR


def program(word: str) -> str:
    """Return the name of a program without its folder and quotes."""
    bare = word.strip("\"'`$(){}")
    return bare.rstrip("/").rpartition("/")[2] or bare


def unquoted(word: str) -> str:
    """Return a word without its quotes and backslashes."""
    if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"":
        return word[1:-1]
    return re.sub(r"\\(.)|[\"']", r"\1", word)


def scripts_within(words: list[str]) -> Iterator[str]:
    """Yield the scripts that a simple command passes to a shell: `sh -c '...'`, `su -c '...'`."""
    runs_shell = any(program(word) in _SHELLS | {"su", "runuser"} for word in words)
    for option, text in pairwise(words):
        if runs_shell and re.fullmatch(r"-[a-z]*c|--command", option):
            yield unquoted(text)


def _word_end(command: str, at: int) -> int:
    """Return the end of the word at `at`, including its quotes and substitutions."""
    while at < len(command) and command[at] not in " \t\n;&|<>()":
        letter = command[at]
        if letter == "\\":
            at += 2
        elif letter in "'\"`":
            at = _closing(command, at + 1, letter)
        elif command.startswith(("$(", "${"), at):
            at = _balanced(command, at + 1)
        else:
            at += 1
    if at < len(command) and command.startswith("((", at):
        return _balanced(command, at)
    # `name()` and `x=(a b)` continue as operators; a stray sign is a separate word.
    return at


def _closing(command: str, at: int, quote: str) -> int:
    while at < len(command) and command[at] != quote:
        at += 2 if command[at] == "\\" and quote != "'" else 1
    return at + 1


def _balanced(command: str, at: int) -> int:
    """Return the index after the bracket that closes the one at `at`."""
    opening = command[at]
    closing = {"(": ")", "{": "}"}[opening]
    depth = 0
    while at < len(command):
        letter = command[at]
        if letter == "\\":
            at += 2
            continue
        if letter in "'\"`":
            at = _closing(command, at + 1, letter)
            continue
        depth += (letter == opening) - (letter == closing)
        at += 1
        if depth == 0:
            return at
    return at


def _is_last(found: list[Piece], place: int) -> bool:
    """Return whether only comments and ends of groups follow the `&` at `place`."""
    rest = [piece for piece in found[place + 1 :] if piece.mark is not JobRecord.COMMENT]
    return all(piece.text in (")", "}", ";", "\n") for piece in rest)


def _detached(command: str) -> Iterator[str]:
    """Yield a note for each simple command that detaches from its shell."""
    for words in simple_commands(command):
        line = " ".join(words) + " "
        yield from (said for pattern, said in _DETACHING if pattern.search(line))
        if _QUEUING.match(line.strip()):
            yield f"at runs it later: {_OUTSIDE}"
        if any(in_foreground(script).notes for script in scripts_within(words)):
            yield f"in the text behind -c: {_KEEPS}; leave & and the like out"
