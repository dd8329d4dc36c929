"""Texts of a command that consist of plain words, which need no shell.

Of such a text any shell would only look up the first word in PATH and execute it with
the others. Whatever is not plain beyond doubt in each of dash, bash, BusyBox, ksh and
yash is left to /bin/sh: quoting, expansion, patterns, operators, comments, assignments,
several lines, characters beyond ASCII, and all builtins and reserved words.
"""

import re

# The first word also without what may be an assignment (=) or a job (%).
_PLAIN = re.compile(r"[ \t]*[\w./+@:,-]+(?:[ \t]+[\w./+@:,%=-]+)*[ \t]*", re.ASCII)

_RESERVED = """
    case coproc do done elif else esac fi for function if in namespace select then time until while
"""
_BUILTINS = """
    . : alias bg bind break builtin caller cd chdir command compgen complete compopt continue
    declare dirs disown echo enable eval exec exit export false fc fg getopts hash help history
    jobs kill let local logout mapfile newgrp popd print printf pushd pwd read readarray readonly
    return set shift shopt source suspend test times trap true type typeset ulimit umask unalias
    unset wait whence
"""
_OF_THE_SHELL = frozenset((_RESERVED + _BUILTINS).split())


def plain_words(text: str) -> tuple[str, ...]:
    """Return the words of a text that needs no shell; () for any other text."""
    if _PLAIN.fullmatch(text) is None:
        return ()
    words = tuple(text.split())
    return () if words[0] in _OF_THE_SHELL else words
