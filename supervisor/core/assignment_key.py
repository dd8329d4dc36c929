"""The name of one attempt in a cluster, as its host keeps it in the field `batch` of a run."""

from msgspec import Struct


class AssignmentKey(Struct, frozen=True):
    """Run and attempt in the cluster, its fence and its trigger.

    fence: grows with every attempt of the cluster. What writes to a shared place may store
    it there and refuse a smaller one.
    """

    run: int
    attempt: int
    fence: int
    trigger: str

    def __str__(self) -> str:
        return f"{self.run}.{self.attempt}.{self.fence}.{self.trigger}"

    @classmethod
    def parse(cls, text: str) -> "AssignmentKey":
        """Return the key that `str` has written. Raises: ValueError."""
        run, attempt, fence, trigger = text.split(".")
        return cls(int(run), int(attempt), int(fence), trigger)
