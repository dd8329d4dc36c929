"""Set the owner and mode of a file that is restored or kept aside."""

import errno
import os


def give(descriptor: int, mode: int, uid: int, gid: int) -> None:
    """Set the mode, owner and group of a file as far as permitted.

    Only root may change the owner. Other users keep the file: with this group if they are
    in it, otherwise their own group gets the permissions of others.
    """
    mode &= 0o777
    if not _is_given(descriptor, uid, gid) and not _is_given(descriptor, -1, gid):
        mode = mode & 0o707 | (mode & 0o007) << 3
    # After fchown, which may clear bits of the mode.
    os.fchmod(descriptor, mode)


def _is_given(descriptor: int, uid: int, gid: int) -> bool:
    try:
        os.fchown(descriptor, uid, gid)
    except PermissionError:
        return False
    except OSError as error:
        # This user namespace, as that of a container without root, has no such id.
        if error.errno != errno.EINVAL:
            raise
        return False
    except OverflowError:  # no id at all
        return False
    return True
