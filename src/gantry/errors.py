"""The kinds of errors: a user's mistake ends in one line, a bug shows its traceback.

- `UserError`, a mistake of the user: one line, exit status 2. A part raises ValueError in its constructor, and a check
  of the configuration does the same; `user_errors()` around them makes a UserError of it. It stands around composition,
  validation, checks and constructors, never around training or an evaluation. All that reads files of the user or looks
  at data raises UserError itself.
- `RunError`, where neither the configuration nor the program is wrong, such as a full disk: one line, exit status 1.
- Every other error is a bug, in Gantry or in a part that the user wrote: its traceback is on the console and in the log
  file, exit status 1.

With `GANTRY_DEBUG=1` in the environment the first two show their traceback as well. Nothing here is slow to import.
"""

import difflib
import errno
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    ConfigTypeError,
    GrammarParseError,
    OmegaConfBaseException,
)

LAUNCHER_EXTRAS = {
    "joblib": "joblib",
    "submitit_local": "slurm",
    "submitit_slurm": "slurm",
    "ray": "ray",
}  # by launcher


OPEN_NODES = (  # dicts of parts, which the user adds to
    *("loss.d_terms", "loss.g_terms", "metrics.scores", "metrics.report.scores", "callbacks", "logger"),
)


MAX_LENGTH, MAX_LINE_LENGTH = 200, 1000  # of a value in a line, and of the line
PLUS_LINE = "{0} must be written without +, since there is one already, got +{0}"

HYDRA_ERRORS = {  # of Hydra and OmegaConf -> the line for the user
    r"Interpolation key '(.+)' not found": "{0} must be given, since another key refers to it, got nothing",
    r"Could not override '([^']+)'\..*=(.*)": "{0} must be a key or a choice that this command has, got {1}",
    r"Could not delete [^']*'(callbacks|logger)'": "{0} must be left out by {0}=[], got ~{0}",
    r"Could not delete [^']*'([^']+)'": "~{0} must be a key or a choice that there is, got another one",
    r"Multiple values for (\S+)\.": PLUS_LINE,
    r"Could not append to config\. An item is already at '([^']+)'": PLUS_LINE,
    r"Error merging override \+*([^=]+)=null$": "{0} must not be null, got null",
    r"Error merging override \+*([^=]+)=(.*)": "{0} must be of the kind that Hydra takes ({reason}), got {1}",
}


class UserError(ValueError):
    """A request that cannot be met; the message is one line that says why."""


class RunError(RuntimeError):
    """A run cannot continue, and neither its configuration nor the program is wrong; the message is one line."""


DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}
OPEN_FILES_ERRNOS = {errno.EMFILE, errno.ENFILE}


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what the disk or the operating system refuses into a RunError, whoever asked for it."""
    try:
        yield
    except OSError as error:
        name = error.filename or "a file of the run"
        if error.errno in OPEN_FILES_ERRNOS:
            raise RunError(f"{name} cannot be opened: {error.strerror}. Allow more with ulimit -n") from error
        if error.errno not in DISK_ERRNOS:
            raise
        action = "read" if error.filename and is_unreadable(error.filename) else "written"
        raise RunError(f"{name} cannot be {action}: {error.strerror}") from error


def is_unreadable(path: str) -> bool:
    """Return True if a file, or the deepest folder above it that can be seen, may not be read."""
    candidates = (Path(path).absolute(), *Path(path).absolute().parents)
    return not os.access(next(p for p in candidates if os.access(p, os.F_OK)), os.R_OK)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn a ValueError, and any error of Hydra or OmegaConf, into a UserError."""
    try:
        yield
    except UserError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(format_error(error)) from error


def format_error(error: BaseException) -> str:
    """Return one line for the user."""
    line = _format_kind(error)
    return line if len(line) <= MAX_LINE_LENGTH else f"{line[:MAX_LINE_LENGTH]}... ({len(line):,} characters)"


def _format_kind(error: BaseException) -> str:
    if isinstance(error, UserError):
        return _join_lines(str(error))
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        if group == "hydra/launcher" and choice in LAUNCHER_EXTRAS:
            return f'launcher must be installed (pip install "gantry[{LAUNCHER_EXTRAS[choice]}]"), got {choice}'
        return format_on_one_line(
            f"{group} must be one of {', '.join(sorted(error.options))}, got {choice or 'nothing'}"
        )
    if isinstance(error, OverrideParseException) and "=" not in error.override:
        return f"each word of the command must be KEY=VALUE, got {error.override}"
    if isinstance(error, OverrideParseException):
        return quoting_message(error)
    cause = error.__cause__ or error
    if isinstance(cause, GrammarParseError) and (override := str(error).partition(" override ")[2]):
        key, _, value = format_on_one_line(override, limit=200).partition("=")
        return f"{key.lstrip('+~')} must be a text or a link ${{another.key}}, got {value}, which is neither"
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key:
        return unknown_key_message(str(cause.full_key), _sibling_keys(cause))
    if isinstance(cause, ConfigTypeError) and "Cannot merge DictConfig" in str(cause) and cause.full_key:
        return (
            f"{cause.full_key} must be a dict, got {format_on_one_line(str(error).partition('=')[2], limit=MAX_LENGTH)}"
        )
    if isinstance(error, OmegaConfBaseException | ConfigCompositionException):
        return _format_hydra_error(error, cause)
    return _join_lines(str(cause if isinstance(cause, OmegaConfBaseException) else error))


def _format_hydra_error(error: BaseException, cause: BaseException) -> str:
    """Return the line for an error that names no rule; its cause where no line is known."""
    reason = _join_lines(str(cause))
    for pattern, line in HYDRA_ERRORS.items():
        if match := re.match(pattern, str(error), re.DOTALL):
            return line.format(
                *(_join_lines(group)[:MAX_LENGTH] or "nothing" for group in match.groups()), reason=reason
            )
    return reason if isinstance(cause, OmegaConfBaseException) else _join_lines(str(error))


def format_on_one_line(thing: object, with_type: bool = False, limit: int | None = None) -> str:
    """Return the text of an exception, or of another object, on one line of at most `limit` characters."""
    text = f"{type(thing).__name__}: {thing}" if with_type else str(thing)
    return to_printable(" ".join(text.split()))[:limit]


def to_printable(text: str) -> str:
    """Return a text as every terminal and log file takes it: on one line, whatever cannot be printed spelled out.

    A file of others must not steer the terminal, and the name of a file may be any bytes.
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def unknown_key_message(key: str, known: Iterable[str]) -> str:
    """Return the line for a key that does not exist, where the names `known` do."""
    known = sorted(known)
    if not known:
        return f"{key} must be written +{key}, which adds a key where there is none, got an unknown one"
    close = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    if not close and key.rpartition(".")[0] in OPEN_NODES:
        hint = f" (+{key} adds one)"
    return f"{key} must be one of the known keys {', '.join(known)}, got an unknown one{hint}"


def quoting_message(error: OverrideParseException) -> str:
    """Return the line for a value that Hydra's grammar does not take, with the word that it takes as text."""
    head, _, value = error.override.partition("=")
    key = head.lstrip("+~")
    word = shlex.quote(f'{head}="{value}"') if not {"'", '"'} & set(value) else f"{head}=\"'...'\""
    return f"{key} must be a value that Hydra can read (text with special characters in quotes: {word}), got {value}"


def _sibling_keys(error: OmegaConfBaseException) -> list[str]:
    parent = error.parent_node
    return [str(key) for key in parent] if parent is not None and hasattr(parent, "keys") else []


def _join_lines(message: str) -> str:
    message = re.sub(r"^\w+ raised while resolving interpolation: ", "", message)  # by one of our resolvers
    lines = [line.strip() for line in message.splitlines()]
    useful = [line for line in lines if line and not re.match(r"(full_key|object_type|reference_type)", line)]
    return to_printable(" ".join(useful))
