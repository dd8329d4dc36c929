"""How an attempt ended -> state, reason and cause."""

import pytest

from supervisor.core import signal_words, verdict
from supervisor.core.config_model import Limits
from supervisor.core.model import Reason, State
from supervisor.core.verdict import WorkerMessages
from tests.core.core_harness import job
from workers.protocol import Done, Failed, Garbage

COMMAND = job("a")
WORKER = job("a", worker="w.f")
DONE = WorkerMessages(done=Done({}))


def status(number):
    return number << 8


def test_a_text_that_ends_by_a_signal_succeeds_as_under_a_shell_that_tells_it_as_a_status():
    text = job("a", argv=None, shell="x", success_exit_status=(0, 143))
    words = job("a", argv=("x",), success_exit_status=(0, 143))

    def judged(definition, wait_status):
        return verdict.from_wait_status(definition, wait_status, WorkerMessages())

    assert judged(text, 15) == judged(text, status(143))
    assert judged(text, 15).state is State.SUCCESS
    assert judged(text, 9).cause == "killed by SIGKILL from outside (out of memory?)"
    assert judged(words, 15).reason is Reason.SIGNAL


# wait status | state | reason | cause
COMMANDS = [
    ("exit 0", status(0), "success", None, ""),
    ("exit 1", status(1), "failed", "exit", "exit status 1"),
    ("exit 2", status(2), "failed", "exit", "exit status 2"),
    ("exit 126", status(126), "failed", "exit", "exit status 126 (not executable)"),
    ("exit 127", status(127), "failed", "exit", "exit status 127 (command not found)"),
    ("exit 255", status(255), "failed", "exit", "exit status 255"),
    ("exit 137", status(137), "failed", "exit", "exit status 137 (SIGKILL: out of memory?)"),
    ("exit 139", status(139), "failed", "exit",
     "exit status 139 (SIGSEGV: invalid memory access)"),
    ("exit 128", status(128), "failed", "exit", "exit status 128"),
    ("exit 168", status(168), "failed", "exit", "exit status 168"),
    ("SIGTERM", 15, "failed", "signal",
     "killed by SIGTERM (a request to end, not from this service)"),
    ("SIGKILL", 9, "failed", "signal", "killed by SIGKILL from outside (out of memory?)"),
    ("SIGSEGV", 11, "failed", "signal", "killed by SIGSEGV (invalid memory access)"),
    ("SIGSEGV with a core", 11 | 128, "failed", "signal",
     "killed by SIGSEGV (invalid memory access)"),
    ("SIGPIPE", 13, "failed", "signal",
     "killed by SIGPIPE (it wrote to a pipe or socket that nothing reads any more)"),
    ("SIGXCPU of another's limit", 24, "failed", "signal",
     "killed by SIGXCPU (more CPU time than a limit allows)"),
    ("a real-time signal", 40, "failed", "signal", "killed by SIGRTMIN+6"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wait_status", "state", "reason", "cause"),
    [pytest.param(*row, id=name) for name, *row in COMMANDS],
)
def test_a_command_is_judged_by_its_status(wait_status, state, reason, cause):
    found = verdict.from_wait_status(COMMAND, wait_status, WorkerMessages())

    assert (found.state, found.reason, found.cause) == (state, reason, cause)


LIMITED = job("a", limits=Limits(cpu_seconds=5, file_size=4096, address_space=2**30))
OF_CPU = "limits.cpu_seconds: a process used more than 5 s of CPU time"
OF_SIZE = "limits.file_size: a file would have become larger than 4096 bytes"
# wait status | CPU seconds of the process | cause
MET = [
    (24, 5.0, f"{OF_CPU} (SIGXCPU)"),
    (9, 7.0, f"{OF_CPU} (SIGKILL)"),
    (9, 4.9, "killed by SIGKILL from outside (out of memory?; limits.address_space?)"),
    (25, 0.0, f"{OF_SIZE} (SIGXFSZ)"),
    (6, 0.0, "killed by SIGABRT (it aborted itself, as after a failed assertion; "
     "limits.address_space?)"),
    (11, 0.0, "killed by SIGSEGV (invalid memory access; limits.address_space?)"),
    (status(152), 0.0, f"exit status 152 (SIGXCPU: {OF_CPU})"),
    (status(153), 0.0, f"exit status 153 (SIGXFSZ: {OF_SIZE})"),
    (status(1), 9.0, "exit status 1"),
]  # fmt: skip


@pytest.mark.parametrize(("wait_status", "cpu_s", "cause"), MET)
def test_a_limit_of_the_job_itself_is_named(wait_status, cpu_s, cause):
    assert verdict.from_wait_status(LIMITED, wait_status, WorkerMessages(), cpu_s).cause == cause


def test_a_worker_that_met_its_limit_is_judged_like_a_command():
    worker = job("a", worker="w.f", limits=Limits(cpu_seconds=5))

    assert verdict.from_wait_status(worker, 24, DONE).cause == f"{OF_CPU} (SIGXCPU)"


@pytest.mark.parametrize("number", range(1, 65))
def test_every_signal_has_a_name_and_the_ordinary_ones_a_meaning(number):
    name, meaning = signal_words.name(number), signal_words.meaning(number)

    assert name.startswith("SIG") or number in (32, 33)
    if number < 32 and number not in DO_NOT_END:
        assert meaning
    assert verdict.from_wait_status(COMMAND, number, WorkerMessages()).cause.startswith(
        f"killed by {name}"
    )


DO_NOT_END = {17, 18, 19, 20, 21, 22, 23, 28}  # they are ignored, or stop or continue a process


@pytest.mark.parametrize(
    ("number", "state"), [(0, "success"), (3, "success"), (1, "failed"), (4, "failed")]
)
def test_other_codes_may_be_successes(number, state):
    lenient = job("a", success_exit_status=(0, 3))

    assert verdict.from_wait_status(lenient, status(number), WorkerMessages()).state == state


def test_zero_may_be_a_failure():
    strict = job("a", success_exit_status=(3,))

    assert verdict.from_wait_status(strict, status(0), WorkerMessages()).cause == "exit status 0"


@pytest.mark.parametrize(
    ("wait_status", "exit_status"), [(status(0), 0), (status(3), 3), (9, None)]
)
def test_the_exit_status_is_kept_unless_a_signal_ended_it(wait_status, exit_status):
    assert (
        verdict.from_wait_status(COMMAND, wait_status, WorkerMessages()).exit_status == exit_status
    )


SAID_ERROR = WorkerMessages(failed=Failed("no such table", permanent=False))
SAID_NEVER = WorkerMessages(failed=Failed("no such table", permanent=True))
SAID_NOISE = WorkerMessages(garbage=Garbage("a line that is not JSON: b'x'"))


def warned(count):
    return WorkerMessages(done=Done({"warnings": count}))


WORKERS = [
    ("done", 0, DONE, "success", None, ""),
    ("done with warnings", 0, warned(3), "success", None, "3 warnings"),
    ("done with a warning", 0, warned(1), "success", None, "1 warning"),
    ("done, no count", 0, WorkerMessages(done=Done({"warnings": True})), "success", None, ""),
    ("done without warnings", 0, WorkerMessages(done=Done({"warnings": 0})), "success", None, ""),
    ("an error", status(1), SAID_ERROR, "failed", "error", "no such table"),
    ("a permanent error", status(1), SAID_NEVER, "failed", "permanent", "no such table"),
    ("an error and exit 0", 0, SAID_ERROR, "failed", "error", "no such table"),
    ("garbage", 0, SAID_NOISE, "failed", "protocol",
     "the worker sent a line that is not JSON: b'x'"),
    ("garbage though done", 0, WorkerMessages(done=Done({}), garbage=Garbage("half a line: b'{'")),
     "failed", "protocol", "the worker sent half a line: b'{'"),
    ("silence", 0, WorkerMessages(), "failed", "protocol",
     "the worker ended with exit status 0 without a word"),
    ("silence and exit 1", status(1), WorkerMessages(), "failed", "protocol",
     "the worker ended with exit status 1 without a word"),
    ("done but exit 1", status(1), DONE, "failed", "exit",
     "exit status 1 after the worker had said done"),
    ("done but killed", 9, DONE, "failed", "signal",
     "killed by SIGKILL from outside (out of memory?)"),
    ("an error but killed", 9, SAID_ERROR, "failed", "signal",
     "killed by SIGKILL from outside (out of memory?)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wait_status", "received", "state", "reason", "cause"),
    [pytest.param(*row, id=name) for name, *row in WORKERS],
)
def test_a_worker_is_judged_by_what_it_said_and_how_it_ended(
    wait_status, received, state, reason, cause
):
    found = verdict.from_wait_status(WORKER, wait_status, received)

    assert (found.state, found.reason, found.cause) == (state, reason, cause)


@pytest.mark.parametrize(
    ("seconds", "cause"),
    [(300.0, "timeout after 5m"), (90.0, "timeout after 1m30s"), (0.5, "timeout after 0.5s")],
)
def test_a_timeout_says_after_how_long(seconds, cause):
    found = verdict.timed_out(job("a", timeout_s=seconds))

    assert (found.state, found.reason, found.cause) == (State.FAILED, Reason.TIMEOUT, cause)


@pytest.mark.parametrize(
    ("found", "state", "reason", "cause"),
    [
        (verdict.not_launched("no such file: /x"), "failed", "launch", "no such file: /x"),
        (verdict.interrupted(Reason.SHUTDOWN), "interrupted", "shutdown",
         "the supervisor was stopped"),
        (verdict.interrupted(Reason.CRASH), "interrupted", "crash",
         "the supervisor died"),
        (verdict.keeper_lost(), "interrupted", "crash", "the process that kept it died"),
        (verdict.cancelled(Reason.PERSON, "cancelled by uid 1000"), "cancelled", "person",
         "cancelled by uid 1000"),
    ],
    ids=["not launched", "shutdown", "crash", "keeper lost", "cancelled"],
)  # fmt: skip
def test_what_we_did_to_it_has_its_own_words(found, state, reason, cause):
    assert (found.state, found.reason, found.cause) == (state, reason, cause)
