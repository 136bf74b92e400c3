"""What ends in one line without a traceback: a mistake of the user, with exit status 2, and a run that fails, with 1.

Nothing here is slow to import.
"""

import difflib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

LAUNCHER_EXTRAS = {
    "joblib": "joblib",
    "submitit_local": "slurm",
    "submitit_slurm": "slurm",
    "ray": "ray",
}  # by launcher


class UserError(ValueError):
    """What the user asked for cannot be done; the message is one line that says why."""


class RunError(RuntimeError):
    """A run cannot go on, and neither its configuration nor the program is wrong; the message is one line."""


DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


@contextmanager
def disk_errors() -> Iterator[None]:
    """Inside, where a run goes on, a disk that takes no more makes it fail, whoever wrote to it."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_ERRNOS or os.environ.get("GANTRY_DEBUG"):
            raise
        raise RunError(f"{error.filename or 'a file of the run'} cannot be written: {error.strerror}") from error


@contextmanager
def user_errors() -> Iterator[None]:
    """Inside, where configurations turn into objects, a ValueError is the user's mistake and not a bug."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if os.environ.get("GANTRY_DEBUG"):
            raise
        raise UserError(format_error(error)) from None


def format_error(error: BaseException) -> str:
    """What the user reads of an error in the configuration."""
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        if group == "hydra/launcher" and choice in LAUNCHER_EXTRAS:
            return f'launcher must be installed (pip install "gantry[{LAUNCHER_EXTRAS[choice]}]"), got {choice}'
        return f"{group} must be one of {', '.join(sorted(error.options))}, got {choice}"
    if isinstance(error, OverrideParseException) and "=" not in error.override:
        return f"each word of the command must be KEY=VALUE, got {error.override}"
    cause = error.__cause__ or error
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key:
        return unknown_key_message(str(cause.full_key), _sibling_keys(cause))
    return _join_lines(str(cause if isinstance(cause, OmegaConfBaseException) else error))


def unknown_key_message(key: str, known: Iterable[str]) -> str:
    """`key` does not exist; `known` are the names that do, at the same place."""
    known = sorted(known)
    close = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{key} must be one of the known keys {', '.join(known)}, got an unknown one{hint}"


def _sibling_keys(error: OmegaConfBaseException) -> list[str]:
    parent = error.parent_node
    return [str(key) for key in parent] if parent is not None and hasattr(parent, "keys") else []


def _join_lines(message: str) -> str:
    message = re.sub(r"^\w+ raised while resolving interpolation: ", "", message)  # of one of our resolvers
    lines = [line.strip() for line in message.splitlines()]
    kept = [line for line in lines if line and not re.match(r"(full_key|object_type|reference_type)", line)]
    return " ".join(kept)
