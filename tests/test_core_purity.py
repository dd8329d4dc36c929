"""`supervisor.core` computes with values: no clock, no randomness, no file, no foreign library."""

from tests.module_sources import NAMES, imports, is_ours, modules

VALUE_LIBRARIES = {
    "bisect", "collections", "copy", "dataclasses", "datetime", "difflib", "enum", "functools",
    "heapq", "itertools", "math", "re", "typing", "zoneinfo", "cronsim", "msgspec",
}  # fmt: skip
# System functions that verdicts need: signal names, and decoding of a wait status.
OF_THE_SYSTEM = {
    "supervisor.core.simulation.engine": {"signal.SIGKILL", "signal.SIGTERM"},
    "supervisor.core.signal_words": {"signal.Signals"},
    "supervisor.core.verdict": {"os.WIFSIGNALED", "os.WTERMSIG", "os.waitstatus_to_exitcode",
                                "signal.SIGABRT", "signal.SIGBUS", "signal.SIGKILL",
                                "signal.SIGSEGV", "signal.SIGXCPU", "signal.SIGXFSZ"},
}  # fmt: skip
CLOCK_OWNERS = ("datetime", "date", "time", "random")
CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "time_ns", "monotonic_ns", "localtime"}
EFFECTS = {"open", "print", "input", "exec", "eval", "__import__"}
CORE = sorted(name for name in NAMES if name.startswith("supervisor.core"))


def test_the_core_imports_values_only():
    foreign = {
        f"{module} imports {each}"
        for module in CORE
        for each in imports(module)
        if not is_ours(each) and each.split(".")[0] not in allowed_libraries(module)
    }

    assert foreign == set()


def allowed_libraries(module: str) -> set[str]:
    return VALUE_LIBRARIES | {name.split(".")[0] for name in OF_THE_SYSTEM.get(module, ())}


def test_what_the_core_takes_of_the_system_only_reads_values():
    for module, allowed in OF_THE_SYSTEM.items():
        used = {each for each in modules()[module].used if each.startswith(("os.", "signal."))}
        assert used <= allowed, module


def test_the_core_reads_no_clock_and_uses_no_randomness():
    impure = {f"{module} calls {each}" for module in CORE for each in impure_calls(module)}

    assert impure == set()


def impure_calls(module: str) -> set[str]:
    clocks = {f"{owner}.{call}" for owner in CLOCK_OWNERS for call in CLOCKS}
    return modules()[module].called & (clocks | EFFECTS)
