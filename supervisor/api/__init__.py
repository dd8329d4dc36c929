"""HTTP/1.1 with JSON over the UNIX socket: the servant thread.

It renders what the loop has published, reads history through its own
read-only connection, and hands in what people ask. It never touches the
world. Enter by `routes.py` for what may be asked, `server.py` for the thread
and its limits.
"""

from supervisor.api.server import ApiServer

__all__ = ["ApiServer"]
