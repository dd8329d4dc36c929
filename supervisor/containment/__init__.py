"""Containment: runs each attempt in a process tree that can be killed as a whole.

On the supervisor's side `processes.py` is the entry point: launches in, events out.
`keeper_pool.py` keeps fork server and keepers, `keeper_events.py` makes events of packets
(`fork_server_client.py`, `keeper_client.py`, `message_pipe.py` and `launch_spec.py` are
their parts). On the other side of a socket, `fork_server.py` forks keepers, and `keeper.py`
is the init process of one run at a time (`spawn.py` starts it, `run_log.py` writes its
output, `process_tree.py` kills it). `ipc.py` defines the messages between the two sides.
"""
