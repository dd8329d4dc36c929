"""The command line: parse arguments, call the API, print.

There is one module per command in `commands/`. `main.py` holds the table of commands
and the entry point. A command's module is imported only when that command is typed, so
`status` does not pay for the imports of the others. `client.py` is the only connection
to a running supervisor. It reads the types that the API sends: `core/views.py` and
`core/responses.py`.
"""
