"""Errors a user can cause and can put right."""

import errno

from stages.core.runtime.errors import UserError as UserError

REMEDIES = {  # of what the machine refuses, by the system's number
    errno.ENOSPC: "the disk is full: make space",
    errno.EDQUOT: "the quota is used up: make space",
    errno.EACCES: "permission denied: change the permissions",
    errno.EPERM: "not permitted: change the permissions, or the owner",
    errno.EROFS: "the file system cannot be written to: take another folder",
    errno.ENAMETOOLONG: "the name is too long: shorten it, or that of a folder above",
    errno.EIO: "the disk or the network failed: look at both, then run again",
    errno.ESTALE: "the network drive is no longer there: mount it again",
    errno.ENOTCONN: "the network drive is no longer there: mount it again",
    errno.EMFILE: "too many files are open: raise `ulimit -n`",
    errno.ENFILE: "too many files are open on this machine",
    errno.EISDIR: "a folder is where a file is expected: move it",
    errno.ENOTDIR: "a file is where a folder is expected: move it",
}


def machine_problem(error: OSError) -> str | None:
    """Say in one line what the machine refuses and what to do; None for an error that may be one of the program."""
    remedy = REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return f"{' to '.join(names)}: {remedy}" if names else remedy
