"""The processes of a simulated service: each does only what the test says."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.config_model import Job
from supervisor.core.model import Run
from workers import protocol


@dataclass
class Process:
    """A simulated attempt: its process, and the signals sent to its tree."""

    job: Job
    run: Run
    forces: list[str] = field(default_factory=list)
    exited: bool = False


class SimulatedProcesses(ABC):
    """The processes of attempts, by run and number. Every method sends the matching event."""

    def __init__(self) -> None:
        self.processes: dict[tuple[int, int], Process] = {}

    @abstractmethod
    def send(self, event: ev.Event) -> object:
        """Let the service decide on an event."""

    @abstractmethod
    def clocks(self) -> ev.At:
        """Return one reading of the clocks and the random number."""

    def ends(
        self, name: str, status: int = 0, signal: int = 0, strays: Sequence[str] = ()
    ) -> None:
        """End the job's process and its whole tree at once."""
        self.exits(name, status, signal)
        self.empties(name, strays)

    def exits(self, name: str, status: int = 0, signal: int = 0) -> None:
        """End the job's process; its tree still has members."""
        key = self._living(name, exited=False)
        self.processes[key].exited = True
        self.send(ev.Exited(self.clocks(), *key, signal or status << 8))

    def empties(self, name: str, strays: Sequence[str] = ()) -> None:
        """End the rest of the job's tree."""
        key = self._living(name, exited=None)
        del self.processes[key]
        self.send(ev.TreeEmpty(self.clocks(), *key, strays=tuple(strays), cpu_s=1.5))

    def survives(self, name: str, *left: str) -> None:
        """Report that part of the tree lives after SIGKILL and is abandoned."""
        key = self._living(name, exited=None)
        del self.processes[key]
        self.send(ev.Survived(self.clocks(), *key, left))

    def says(self, name: str, message: protocol.Message | protocol.Garbage) -> None:
        """Send a message of the job's worker."""
        self.send(ev.MessageReceived(self.clocks(), *self._living(name, exited=False), message))

    def loses(self, name: str) -> None:
        """Kill the keeper of the job's process, and the whole tree with it."""
        key = self._living(name, exited=False)
        del self.processes[key]
        self.send(ev.KeeperLost(self.clocks(), *key))
        self.send(ev.TreeEmpty(self.clocks(), *key))

    def cannot_launch(self, name: str, error: str = "no such file") -> None:
        """Fail the job's launch."""
        key = self._living(name, exited=False)
        del self.processes[key]
        self.send(ev.LaunchFailed(self.clocks(), *key, error))

    def live(self) -> list[str]:
        """Return the names of jobs with a process, in launch order."""
        return [process.job.name for process in self.processes.values() if not process.exited]

    def forces(self, name: str) -> list[str]:
        """Return the signals sent to the job's living tree: `term`, `kill`, `abandon`."""
        return self.processes[self._living(name, exited=None)].forces

    def _living(self, name: str, exited: bool | None) -> tuple[int, int]:
        found = [
            key
            for key, process in self.processes.items()
            if process.job.name == name and exited in (None, process.exited)
        ]
        assert found, f"no process of {name} is alive at {self.wall}: only {self.live()}"
        return found[-1]

    def takes_signal(self, key: tuple[int, int], force: effects.KillStep) -> None:
        """Send a signal to the tree of an attempt, if there is one."""
        if key in self.processes:
            self.processes[key].forces.append(str(force))
