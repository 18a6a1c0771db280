"""Keep strangers out of the Prefect server: a secret that all its clients send, in a folder only this user can read.

Loopback is no access control. Any local user can reach the port, and so can any web page that is open in a browser of
this machine. Whoever may create a deployment runs commands as the user of the worker.
"""

import errno
import logging
import os
import re
import secrets
import stat
from pathlib import Path

from stages.core.run.errors import UserError

AUTH_FILE = "auth"  # in PREFECT_HOME
SERVER_AUTH, CLIENT_AUTH = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"
USER = "oddpart"
WELL_FORMED = re.compile(r"[^:\s]+:\S+")
OTHERS = stat.S_IRWXG | stat.S_IRWXO

LOG = logging.getLogger(__name__)


def access_variables(home: Path, origin: str) -> dict[str, str]:
    """Return the variables by which the server refuses strangers, and its clients are none.

    Prefect knows two names for some of them. These are the ones that win.

    Args:
        home: PREFECT_HOME, which keeps the secret.
        origin: the server's own address, whose pages alone may send requests.
    """
    secret = auth_string(home)
    return {
        SERVER_AUTH: secret,
        CLIENT_AUTH: secret,
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": origin,
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "true",
    }


def given_auth() -> str | None:
    """Return the variable in which the user named a secret of their own, if any; it counts before the file."""
    return next((name for name in (SERVER_AUTH, CLIENT_AUTH) if os.environ.get(name)), None)


def auth_string(home: Path) -> str:
    """Return the secret, "user:password": the user's own, else that of the file, which is made if there is none.

    Raises:
        UserError: the folder or the file is another user's, or the file is a link or no file.
    """
    name = given_auth()
    if name is not None:
        return os.environ[name]
    file = private_folder(home) / AUTH_FILE
    return _read(file) or _write(file)


def private_folder(path: Path) -> Path:
    """Make a folder that no other user can enter, or close one that others can; return it.

    Raises:
        UserError: it is another user's.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = path.stat()
    if {state.st_uid, path.lstat().st_uid} != {os.getuid()}:
        raise UserError(f"{path} belongs to another user, who could read or replace what is in it: move it away")
    if state.st_mode & OTHERS:
        LOG.warning("%s was open to other users (mode %o): set to 700", path, stat.S_IMODE(state.st_mode))
        path.chmod(0o700)
    return path


def _read(file: Path) -> str | None:
    """Return the secret; None if there is none, or others could read or set it."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = "is a link" if error.errno == errno.ELOOP else f"cannot be read ({error.strerror})"
        raise UserError(f"{file} {reason}: delete it, and a new one is made") from None
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode) or state.st_uid != os.getuid():
            raise UserError(f"{file} is no file of yours: delete it, and a new one is made")
        text = os.read(handle, 4096).decode(errors="replace").strip()
    finally:
        os.close(handle)
    if state.st_mode & OTHERS:
        LOG.warning("%s was open to other users (mode %o): it is replaced", file, stat.S_IMODE(state.st_mode))
        return None
    if not WELL_FORMED.fullmatch(text):
        LOG.warning("%s holds no text of the form user:password: it is replaced", file)
        return None
    return text


def _write(file: Path) -> str:
    secret = f"{USER}:{secrets.token_urlsafe(32)}"
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as content:
        content.write(secret + "\n")
    temporary.replace(file)
    return secret
