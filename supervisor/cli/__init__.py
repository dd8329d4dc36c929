"""The command line: parse, ask, print.

One file a family of verbs. `program.py` is the table of them and what
`nightshift` starts; a verb's file is imported when the verb is typed, so that
`status` pays for nothing but itself. `client.py` is the only way to a living
supervisor, `answers.py` what is read of its answers.
"""
