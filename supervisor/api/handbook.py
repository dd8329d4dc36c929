"""The table of routes for docs/api.md, from the same declarations as all else."""

from collections.abc import Iterable

import msgspec

from supervisor.api.declared import JSON, Declared


def in_words(declared: Iterable[Declared]) -> str:
    """The routes as a table in Markdown."""
    lines = ["| | what it does | answers |", "| --- | --- | --- |"]
    for each in declared:
        carries = "text" if each.media != JSON else "this document"
        carries = carries if each.answer is None else each.answer.__name__
        errors = ", ".join(map(str, each.statuses)) or "none"
        lines.append(
            f"| `{each.method} {each.path}`{_takes(each)} | {each.says} "
            f"| {each.status} {carries}; errors: {errors} |"
        )
    return "\n".join(lines)


def _takes(declared: Declared) -> str:
    """` ?query=` and ` {keys of the body}`."""
    given = [each for each in declared.takes if each.place != "path"]
    queries = "&".join(f"{each.name}=" for each in given if each.place == "query")
    headers = ", ".join(each.name for each in given if each.place == "header")
    text = f" `?{queries}`" if queries else ""
    text += f" `{headers}:`" if headers else ""
    if declared.body is not None:
        keys = ", ".join(field.name for field in msgspec.structs.fields(declared.body))
        text += f" `{{{keys}}}`"
    return text
