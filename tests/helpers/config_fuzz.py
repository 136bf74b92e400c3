"""Configurations with one value changed, and how a command answers them, for the fuzzers of tests/fuzz."""

import copy
import math
import random
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gantry.errors import RunError, UserError, format_error

VALUES = (
    *("null", "-1", "0", "1", "0.5", "abc", "''", "[]", "{}", "nan", "inf", "-inf", "1e308", "1e-320", "true", "false"),
    *("flase", "[0]", "[1,[2]]", "[null]", "[-1,-1,-1]", "[nan,0.5]", "{a:1}", "{_target_:5}", "{_target_:no.such}"),
    *("{_target_:gantry.nets.dcgan}", "{_target_:torch.nn.Identity}", "{_target_:gantry.training.ema.Ema}"),
    *("{_partial_:true}", "{_partial_:false}", "99999999999999999999", "'1'", "'größe 尺寸 🙂'", "${nosuch}"),
    *("${seed}", "${model.name}", "${run}", "${nosuch:1}", "${share:${seed},0}", "${oc.env:NO_SUCH_VARIABLE}"),
    *("${${seed}}", "[${nosuch}]", "{_target_:${seed}}"),
)
"""As they stand on a command line. Links to the key itself and to the node that it is in are tried beside them."""

SECONDS = 120  # after which a command counts as one that hangs; machines are busy
ONE_LINE_ERRORS = (UserError, RunError, HydraException, OmegaConfBaseException)


def list_keys(node: Any, key: str = "") -> Iterator[str]:
    """Yield the full keys of all nodes and leaves below a node."""
    if key:
        yield key
    if isinstance(node, DictConfig) and not (node._is_none() or node._is_missing() or node._is_interpolation()):
        for name in node:
            yield from list_keys(node._get_node(name), f"{key}.{name}".lstrip("."))


def choose_override(cfg: DictConfig, number: int) -> str:
    """Return an override of one key of a configuration, a function of the number alone."""
    source = random.Random(number)
    key = source.choice([key for key in list_keys(cfg) if not key.startswith(("hydra", "paths", "run", "resume"))])
    parent = key.rpartition(".")[0]
    links = [f"${{{key}}}", f"${{{parent}}}" if parent else "${.}", "${.nosuch}"]
    return f"{key}={source.choice([*VALUES, *links])}"


def override_config(cfg: DictConfig, override: str) -> DictConfig:
    """Return a copy of a composed configuration with one more override, as Hydra applies it. Raises Hydra's errors."""
    changed = copy.deepcopy(cfg)
    OmegaConf.set_struct(changed, True)
    ConfigLoaderImpl._apply_overrides_to_config(OverridesParser.create().parse_overrides([override]), changed)
    return changed


def find_one_line(command: Callable[[], Any]) -> str:
    """Return the line with which a command refuses, "" if it ends well. Raises what a user would see as a traceback."""
    previous = signal.signal(signal.SIGALRM, _raise_timeout)
    signal.alarm(SECONDS)
    try:
        command()
    except ONE_LINE_ERRORS as error:
        line = format_error(error)
        assert "\n" not in line, line
        return line
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    return ""


def _raise_timeout(number: int, frame: FrameType | None) -> NoReturn:
    raise TimeoutError(f"no end after {SECONDS} seconds")


def is_like(before: Any, after: Any) -> bool:
    """Return True for a value of the same type as before, and null: numbers are finite, integers stay integers."""
    if after is None or before is None:
        return True
    if isinstance(before, bool) or isinstance(after, bool):
        return isinstance(after, bool) and isinstance(before, bool)
    if isinstance(before, int | float):
        kinds = int if isinstance(before, int) else (int, float)
        return isinstance(after, kinds) and math.isfinite(after)
    return OmegaConf.is_dict(after) == OmegaConf.is_dict(before) and OmegaConf.is_list(after) == OmegaConf.is_list(
        before
    )
