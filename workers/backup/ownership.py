"""Owner and mode of a file that we restore or keep aside."""

import os


def give(descriptor: int, mode: int, uid: int, gid: int) -> None:
    """Give a file of ours this owner and mode, as far as the system allows.

    Only root may give a file away. Others keep it: with this group, if they
    are in it; else their own group may do what everybody may.
    """
    mode &= 0o777
    try:
        os.fchown(descriptor, uid, gid)
    except PermissionError:
        try:
            os.fchown(descriptor, -1, gid)
        except PermissionError:
            mode = mode & 0o707 | (mode & 0o007) << 3
    # After the owner, whose change may clear bits of the mode.
    os.fchmod(descriptor, mode)
