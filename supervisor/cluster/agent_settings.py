"""What the supervisor tells its agent, and the agent its leader, in one variable."""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from supervisor.cluster.session import schema_of
from supervisor.cluster.shared_ledger import Leadership
from supervisor.core.cluster_hosts import label_of
from supervisor.core.config_model import Cluster

VARIABLE = "NIGHTSHIFT_CLUSTER"


class AgentSettings(Struct, frozen=True):
    """Paths of this host's supervisor, its places and its membership."""

    config: str
    state: str
    socket: str
    places: int
    cluster: Cluster

    @property
    def schema(self) -> str:
        """Return the PostgreSQL schema of the cluster."""
        return schema_of(self.cluster.name)

    @property
    def host(self) -> str:
        """Return the name of this host."""
        assert self.cluster.host is not None  # jobs.yaml's reader has filled it in
        return self.cluster.host

    @property
    def folder(self) -> Path:
        """Return the state folder of the agent and the leader on this host."""
        return Path(self.state, "cluster")

    @property
    def gateway(self) -> Path:
        """Return the socket that answers for the whole cluster."""
        return Path(self.state, "cluster.sock")

    @property
    def labels(self) -> frozenset[str]:
        """Return the labels of this host, with the one of its name."""
        return frozenset((*self.cluster.labels, label_of(self.host)))


class LeaderSettings(Struct, frozen=True):
    """What a leader needs beside the settings of its agent; config: number of its text."""

    agent: AgentSettings
    leadership: Leadership
    config: int
    sha256: str

    @property
    def socket(self) -> Path:
        """Return the leader's socket."""
        return self.agent.folder / "leader.sock"


def from_environ(
    kind: type[AgentSettings] | type[LeaderSettings],
) -> "AgentSettings | LeaderSettings":
    """Return the settings, and hide them from child processes."""
    return msgspec.json.decode(os.environ.pop(VARIABLE), type=kind)
