"""Run many random histories: `python -m tests.cluster.model FIRST COUNT [FENCE]`.

It stops at the first broken promise and prints the command that repeats that history. With
a fence, that one is left out, and a promise is expected to break.
"""

import sys

from tests.cluster.model.world import first_broken


def main(first: str, count: str, without: str = "") -> int:
    """Return the exit status: 1 if a promise was broken."""
    begin, most = int(first), int(count)
    for since in range(begin, begin + most, 1000):
        until = min(since + 1000, begin + most)
        broken = first_broken(range(since, until), without)
        if broken is not None:
            again = f'python -m tests.cluster.model {broken.seed} 1 "{without}"'
            print(f"history {broken.seed}: {broken.text}\nagain: {again}")
            return 1
        print(f"{until - begin} histories from {begin} on keep all promises", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
