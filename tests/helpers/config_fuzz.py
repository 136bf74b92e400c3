"""Configurations with one value changed, and how a command answers them, for the fuzzers of tests/fuzz."""

import copy
import io
import os
import random
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn
from unittest.mock import patch

import lightning  # noqa: F401  before memory is bounded: it maps gigabytes, and a command imports it when it needs it
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gantry.commands.entry import start_command
from gantry.config.text_values import parse_overrides
from gantry.errors import RunError, UserError, format_error, format_on_one_line

VALUES = (
    *("null", "-1", "0", "1", "0.5", "abc", "''", "[]", "{}", "nan", "inf", "-inf", "1e308", "1e-320", "true", "false"),
    *("flase", "[0]", "[1,[2]]", "[null]", "[-1,-1,-1]", "[nan,0.5]", "{a:1}", "{_target_:5}", "{_target_:no.such}"),
    *("{_target_:gantry.nets.dcgan}", "{_target_:torch.nn.Identity}", "{_target_:gantry.training.ema.Ema}"),
    *(
        "{_partial_:true}",
        "{_partial_:false}",
        "99999999999999999999",
        "'1'",
        "'größe 尺寸 🙂'",
        "'a\u202eb\u0300'",
        "../up",
    ),
    *("${seed}", "${model.name}", "${run}", "${nosuch}", "${nosuch:1}", "${share:${seed},0}", "${share:${seed}}"),
    *(
        "${oc.env:NO_SUCH_VARIABLE}",
        "${${seed}}",
        "${${nosuch}}",
        "[${nosuch}]",
        "{a:[${nosuch}]}",
        "{_target_:${seed}}",
    ),
    *("'${share:${seed},0}'", "'${share:${seed}}'", "'${${seed}}'", "2", "3", "16", "0.1", "1e-3", "[4]", "[0.1,0.9]"),
    *("'${'", "'${}'", "'${a'", "${.}", "${..}", "${.nosuch}", "9" * 5000, "x" * 5000, "'" + "x " * 3000 + "'"),
    *("[" * 30 + "]" * 30, "{a:" * 20 + "1" + "}" * 20, "[" + "1," * 3000 + "1]", "-0.0", "True", "None", "?", "???"),
)
"""As they stand on a command line. Links to the key itself and to the node that it is in are tried beside them."""

COMPUTING_SECONDS, WAITING_SECONDS = 60, 600  # after which a command counts as one that hangs; machines are busy
MEMORY_BYTES = 3 << 30  # beyond what the process has when a command begins
ONE_LINE_ERRORS = (UserError, RunError, HydraException, OmegaConfBaseException)


def list_keys(node: Any, key: str = "") -> Iterator[str]:
    """Yield the full keys of all nodes and leaves below a node."""
    if key:
        yield key
    if isinstance(node, DictConfig) and not (node._is_none() or node._is_missing() or node._is_interpolation()):
        for name in node:
            yield from list_keys(node._get_node(name), f"{key}.{name}".lstrip("."))


def choose_overrides(keys: Sequence[str], number: int, more: Sequence[str] = ()) -> list[str]:
    """Return overrides of one of the keys, or of two that refer to each other, a function of the number alone.

    `more` are values beside VALUES.
    """
    source = random.Random(number)
    key, other = source.choice(keys), source.choice(keys)
    if source.random() < 0.02:
        return [f"{key}=${{{other}}}", f"{other}=${{{key}}}"]
    parent = key.rpartition(".")[0]
    links = [f"${{{key}}}", f"${{{parent}}}" if parent else "${.}", f"${{{other}}}"]
    return [f"{key}={source.choice([*VALUES, *links, *more])}"]


def override_config(cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """Return a copy of a composed configuration with more overrides, as Hydra applies them. Raises Hydra's errors."""
    changed = copy.deepcopy(cfg)
    OmegaConf.set_struct(changed, True)
    ConfigLoaderImpl._apply_overrides_to_config(parse_overrides(overrides), changed)
    return changed


@dataclass
class Tally:
    """How many cases were accepted or refused in one line, and how the others failed."""

    accepted: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, case: object, line: str, failure: str) -> None:
        """Count a case; `line` is its refusal and `failure` what is wrong with the answer, "" for neither."""
        if failure:
            self.failures.append(f"{case}: {failure}")
            print(self.failures[-1], flush=True)  # a long run can be watched: pytest -s
        elif line:
            self.refused += 1
        else:
            self.accepted += 1

    def check(self) -> None:
        """Print the counts, and fail for a failure."""
        print(f"{self.accepted} accepted, {self.refused} refused in one line, {len(self.failures)} failures")
        assert not self.failures, "\n".join(self.failures)


class HangError(BaseException):
    """A command takes too long; nothing that it calls must catch this."""


@contextmanager
def limit_resources() -> Iterator[None]:
    """Raise HangError after too long a time, and MemoryError where much more memory is asked for."""
    handlers = [signal.signal(number, _raise_hang) for number in (signal.SIGALRM, signal.SIGPROF)]
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if (statm := Path("/proc/self/statm")).exists():
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, hard))
    signal.setitimer(signal.ITIMER_REAL, WAITING_SECONDS)
    signal.setitimer(signal.ITIMER_PROF, COMPUTING_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in zip((signal.SIGALRM, signal.SIGPROF), handlers):
            signal.signal(number, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def find_one_line(command: Callable[[], Any]) -> str:
    """Return the line with which a command refuses, "" if it ends well. Raises what a user would see as a traceback."""
    try:
        with limit_resources():
            command()
    except ONE_LINE_ERRORS as error:
        line = format_error(error)
        assert "\n" not in line, line
        return line
    return ""


def describe_error(error: BaseException) -> str:
    """Return an unexpected error and where it was raised, on one line."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return format_on_one_line(
        f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})", limit=500
    )


def find_command_line(config_name: str, task: Callable[[DictConfig], Any], words: Sequence[str]) -> str:
    """Return the line with which a command refuses these words, "" if it ends well. Raises as `find_one_line`."""
    errors = io.StringIO()

    def run() -> None:
        with redirect_stdout(io.StringIO()), redirect_stderr(errors):
            start_command(config_name, task)

    with patch.object(sys, "argv", [f"{config_name}.py", *words]), patch.dict(os.environ, {"HYDRA_FULL_ERROR": "1"}):
        try:
            return find_one_line(run)
        except SystemExit as end:
            status = end.code
    lines = [line for line in errors.getvalue().splitlines() if line.startswith("error: ")]
    assert status in (0, 1, 2), status
    assert len(lines) == (status != 0), errors.getvalue()
    return "".join(lines).removeprefix("error: ")


def _raise_hang(number: int, frame: FrameType | None) -> NoReturn:
    raise HangError(f"no end after {WAITING_SECONDS} seconds, {COMPUTING_SECONDS} of computing")
