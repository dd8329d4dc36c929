"""Containment: every run in a tree of processes that can be killed whole.

On the supervisor's side `processes.py` is the way in: launches out, events in
(`nurse.py`, `places.py`, `mail.py`, `orders.py` are its parts). On the other
side of a socket live `nursery.py`, which forks keepers, and `keeper.py`, the init
of one run at a time (`births.py` starts, `output.py` writes, `tree.py` kills).
`packets.py` is what the two sides say to each other.
"""
