"""A reading of the clocks: the only one in the turn of an event."""

from datetime import datetime

from msgspec import Struct


class At(Struct, frozen=True):
    """Reading of the wall clock (aware, UTC), monotonic seconds and a random value in [0, 1)."""

    wall: datetime
    mono: float
    dice: float = 0.5
