"""Set the owner and mode of a file that is restored or kept aside."""

import os


def give(descriptor: int, mode: int, uid: int, gid: int) -> None:
    """Set the mode, owner and group of a file as far as permitted.

    Only root may change the owner. Other users keep the file: with this group if they are
    in it, otherwise their own group gets the permissions of others.
    """
    mode &= 0o777
    try:
        os.fchown(descriptor, uid, gid)
    except PermissionError:
        try:
            os.fchown(descriptor, -1, gid)
        except PermissionError:
            mode = mode & 0o707 | (mode & 0o007) << 3
    # After fchown, which may clear bits of the mode.
    os.fchmod(descriptor, mode)
