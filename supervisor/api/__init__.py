"""HTTP API: HTTP/1.1 with JSON over the UNIX socket, served by one thread.

The thread renders the state that the loop has published, reads history through
its own read-only connection to the ledger, and submits requests to the loop. It
never changes the scheduler state. `routes.py` lists the endpoints, `server.py`
runs the thread, `serving.py` what it serves, `bridge.py` connects it to the loop.
"""

from supervisor.api.server import ApiServer

__all__ = ["ApiServer"]
