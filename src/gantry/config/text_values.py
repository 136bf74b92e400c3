"""Overrides whose values are text: names and paths reach the configuration as they were typed.

Hydra reads `run.name=12e4567` as a number (infinity), `run.name=null` as nothing, and refuses `resume=logs/lr=1e-4`.
The values of the keys below are put in quotes before Hydra sees them, unless they are in quotes already.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from gantry.config.rules import format_value

NAME_KEYS = ("run.name", "run.group")
PATH_KEYS = (
    *("resume", "run.dir", "run", "checkpoint", "samples", "reference", "output", "out", "hydra.run.dir"),
    *("hydra.sweep.dir", "paths.logs", "paths.data", "paths.cache", "data.source.root", "metrics.weights"),
    *("metrics.reference",),
)
LIST_KEYS = ("tags", "runs")
NEVER_NULL = ("run.name", "run.dir")  # null is text there
MAY_BE_EMPTY = ("run.group",)


def quote_text_values(argv: Sequence[str]) -> list[str]:
    """Return the words of a command with the values of text keys in quotes. Raises ValueError for an empty one."""
    is_sweep = bool({"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(argv))
    return [_quote_word(word, is_sweep) for word in argv]


def quote_text(text: str, quote: Quote = Quote.single) -> str:
    """Return a text in quotes, as a value of an override that Hydra reads as this text."""
    return QuotedString(text, quote).with_quotes()


def read_text_value(argv: Sequence[str], key: str) -> str | None:
    """Return the value of the last override `key=`; None without one, for null and for the values of a sweep."""
    words = [word for word in argv if word.startswith(f"{key}=")]
    override = _parse(words[-1]) if words else None
    value = None if override is None or override.is_sweep_override() else override.value()
    return None if value is None else str(value)


def parse_overrides(words: Sequence[str]) -> list[Override]:
    """Return overrides as Hydra reads them. Raises its own errors, and ValueError for what they leave out."""
    return list(map(_parse_override, words))


def get_override_key(override: str) -> str:
    """Return the key of an override: `+loss.d_terms.r1=5` -> `loss.d_terms.r1`."""
    return override.partition("=")[0].lstrip("+~")


def _quote_word(word: str, is_sweep: bool) -> str:
    head, is_override, text = word.partition("=")
    key = get_override_key(word)
    if word.startswith("-") or not is_override or key not in (*NAME_KEYS, *PATH_KEYS, *LIST_KEYS):
        return word
    if _strip_quotes(text) == "" and key not in MAY_BE_EMPTY:
        raise ValueError(f"{key} must not be empty: leave it out, got nothing (an unset variable, perhaps)")
    override = _parse(word)
    if override is not None and override.is_sweep_override() and is_sweep:
        return word
    if key in LIST_KEYS:
        return f"{head}={_quote_items(text)}"
    if override is not None and not override.is_sweep_override():
        value = override.value()
        if isinstance(value, str) or (value is None and key not in NEVER_NULL):
            return word
    return f"{head}={quote_text(str(Path(text).expanduser()) if key in PATH_KEYS and text[:1] == '~' else text)}"


def _quote_items(text: str) -> str:
    """Return a list `[a,1e5]` with items in quotes, `['a','1e5']`; one that Hydra reads as texts is left as it is."""
    override = _parse(f"list={text}")
    value = None if override is None or override.is_sweep_override() else override.value()
    if text == "null" or isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) for v in value)):
        return text
    if not (text.startswith("[") and text.endswith("]")):
        return quote_text(text)
    return f"[{','.join(quote_text(_strip_quotes(item)) for item in _split_items(text[1:-1]))}]"


def _split_items(text: str) -> Iterator[str]:
    """Yield the items between commas; where several together are a path that exists, it is one item."""
    pieces = text.split(",")
    while pieces:
        joined = (count for count in range(len(pieces), 1, -1) if Path(",".join(pieces[:count])).exists())
        count = next(joined, 1)
        yield ",".join(pieces[:count]).strip()
        pieces = pieces[count:]


def _strip_quotes(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _parse(word: str) -> Override | None:
    """Return an override as Hydra reads it, None if it cannot be read."""
    try:
        return _parse_override(word)
    except (HydraException, ValueError):
        return None


def _parse_override(word: str) -> Override:
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
        return override
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits, lists in lists in lists
        reason = "too deep" if isinstance(error, RecursionError) else "too long a number"
        value = format_value(word.partition("=")[2])
        raise ValueError(
            f"{get_override_key(word)} must be a value that Hydra can read, got {value}: {reason}"
        ) from None
