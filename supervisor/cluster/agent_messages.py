"""What a supervisor and its agent say over their line (agent_line.py), as JSON."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from supervisor.core.assignment_key import AssignmentKey
from supervisor.core.views import RunView

# In the state folder.
PATH = "cluster/agent.sock"


class Assign(Struct, frozen=True):
    """An attempt that the leader has assigned to this host."""

    job: str
    key: AssignmentKey
    due: datetime
    set: dict[str, Any] = {}
    dry_run: bool = False


class Answer(Struct, frozen=True):
    """The run of an assignment, or why there is none.

    is_over: the run and all of its processes have ended.
    """

    fence: int
    run: RunView | None = None
    is_over: bool = False
    error: str = ""
