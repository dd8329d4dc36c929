"""Keeps the agent of this host alive: a child of the supervisor, under a keeper.

The keeper ends the agent, and a leader that it has started, when the supervisor is gone.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from supervisor.cluster.agent_settings import VARIABLE, AgentSettings
from supervisor.containment.internal_jobs import AGENT, InternalJob, Signals, why_ended
from supervisor.core import events as ev
from supervisor.core.config_model import Config
from supervisor.core.effects import Launch, Note
from supervisor.log import ServiceLog

# Before the agent is started again.
FIRST_REST_S, MOST_REST_S = 1.0, 30.0
# An agent that lived so long may be started again at once.
SOUND_S = 60.0
_BEGIN = """
import sys
sys.path.insert(0, sys.argv[1])
from supervisor.cluster.agent import main
main()
"""


class AgentJob:
    """The agent's process, started again whenever it ends."""

    def __init__(
        self, path: Path, state: Path, socket: Path, config: Config, log: ServiceLog
    ) -> None:
        """path: jobs.yaml. state, socket: those of the supervisor."""
        assert config.cluster is not None
        settings = AgentSettings(
            str(path), str(state), str(socket), config.max_concurrent, config.cluster
        )
        self._env = ((VARIABLE, msgspec.json.encode(settings).decode()),)
        self._log = log
        self._agent = InternalJob(AGENT, "cluster-agent")
        self._again_at = self._began_at = 0.0
        self._rest_s = FIRST_REST_S
        self._leaves = False

    @property
    def has_left(self) -> bool:
        """Return whether the agent has ended."""
        return not self._agent.is_out

    def leave(self, processes: Signals) -> None:
        """Let the agent report what has ended and leave the cluster."""
        self._leaves = True
        self._agent.ask_to_end(processes)

    def next_instant(self) -> float | None:
        """Return when the agent is to be started; None while it lives."""
        return None if self._agent.is_out or self._leaves else self._again_at

    def next_launch(self, at: ev.At) -> Launch | None:
        """Return the launch of the agent, if it is due."""
        if self._agent.is_out or self._leaves or at.mono < self._again_at:
            return None
        self._began_at = at.mono
        argv = (sys.executable, "-X", "utf8", "-P", "-c", _BEGIN, str(Path(__file__).parents[2]))
        return self._agent.begin(at, argv=argv, cwd="/", env=self._env)

    def on_events(self, events: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """Log the end of the agent, and wait a while; return no events."""
        end = self._agent.end(events)
        if end is None or self._leaves:
            return []
        if at.mono - self._began_at > SOUND_S:
            self._rest_s = FIRST_REST_S
        text = f"the agent of the cluster {why_ended(end, 0)}; again in {self._rest_s:.0f}s"
        self._log.note(at.wall, Note("warning", f"{text} (see cluster/log)"))
        self._again_at = at.mono + self._rest_s
        self._rest_s = min(2 * self._rest_s, MOST_REST_S)
        return []
