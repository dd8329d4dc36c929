"""Costs of a real service for growth.py: many runs at once, many clients of the status."""

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from peers import ASK_S, NEVER, OURS, Command, Living, Side, answer, living

ASKED = 20
BEGUN_S = 120.0
_LOOK_S = 0.05
_QUESTION = f"GET {OURS.status} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()


def of_running(number: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Yield the cost of this many simultaneous runs: CPU until all have begun, and memory."""
    commands = {f"job-{n}": ["sleep", "600"] for n in range(number)}
    with living(with_places(number), folder, commands, NEVER) as service:
        before = service.cpu_s() + service.others_cpu_s()
        for name in commands:
            service.ask(f"/v1/jobs/{name}/run", "POST")
        wait_until_all_run(service, number)
        yield "CPU", service.cpu_s() + service.others_cpu_s() - before
        yield "memory", float(service.pss_bytes())


def of_clients(number: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Yield the CPU of the service for a status that this many clients request at once."""
    commands: dict[str, Command] = {f"job-{n}": ["/bin/true"] for n in range(10)}
    with living(OURS, folder, commands, NEVER) as service:
        ask_at_once(folder, number)
        before = service.cpu_s()
        for _ in range(ASKED):
            ask_at_once(folder, number)
        yield "status", (service.cpu_s() - before) / ASKED


def with_places(number: int) -> Side:
    """Return our side with this many places in its pool."""

    def text(commands: Mapping[str, Command], cron: str, folder: Path) -> str:
        _, _, rest = OURS.text(commands, cron, folder).partition("\njobs:")
        return f"timezone: UTC\nmax_concurrent: {number}\njobs:{rest}"

    return replace(OURS, text=text)


def wait_until_all_run(service: Living, number: int) -> None:
    """Wait until this many runs have begun. Raises: RuntimeError."""
    until = time.monotonic() + BEGUN_S
    while json.loads(service.ask(OURS.status))["pool"]["running"] < number:
        if time.monotonic() > until:
            raise RuntimeError(f"{number} runs took longer than {BEGUN_S:.0f} s to begin")
        time.sleep(_LOOK_S)


def ask_at_once(folder: Path, number: int) -> None:
    """Send the request on this many connections, then read all the answers."""
    with ExitStack() as opened:
        connections = [opened.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(number)]
        for connection in connections:
            connection.settimeout(ASK_S)
            connection.connect(str(folder / "socket"))
            connection.sendall(_QUESTION)
        for connection in connections:
            answer(connection)
