"""The form of a module: a docstring, a name that says what is in it, a bounded length."""

from hypothesis import settings

from tests.module_sources import FILES, ROOT, modules

# Files that call `str.isdigit` or similar: on ASCII, on bytes, or on names in /proc.
ASKS_FOR_DIGITS = {
    "workers/units.py",
    "supervisor/containment/process_tree.py",
    "supervisor/containment/run_log.py",
    "supervisor/doctor/service.py",
    "supervisor/notifications/terminal_screen.py",
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
LONGEST = 320


def test_a_module_has_a_docstring_a_name_and_a_bounded_length():
    faults = {
        f"{name}: {fault}"
        for name, module in modules().items()
        for fault, is_found in (
            ("a module begins with a docstring", not module.has_docstring),
            ("split a file when it holds two ideas", module.lines > LONGEST),
            ("a name says what is in it", FORBIDDEN_NAMES & set(module.file.stem.split("_"))),
        )
        if is_found
    }

    assert faults == set()


def test_a_text_is_asked_for_ascii_digits():
    asking = {
        str(file.relative_to(ROOT))
        for file in FILES
        if any(f".is{kind}()" in file.read_text() for kind in ("digit", "decimal", "numeric"))
    }

    # Use `is_whole`: `"²".isdigit()` is true, and `int("²")` raises an error.
    assert asking == ASKS_FOR_DIGITS


def test_no_property_test_is_timed():
    assert settings.default is not None
    assert settings.default.deadline is None
