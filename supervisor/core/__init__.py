"""The pure core: no clock, file, socket, process, logging, dice or thread.

`decide(scheduler, event) -> (scheduler, actions)` is all there is; the files beside it
are the rules it applies. Enter by `events.py` (what may happen, what may be
asked of the world), `asks.py` (what people may ask) and `decide.py` (the table).
"""
