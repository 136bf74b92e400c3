"""A workbench for GAN experiments. The names below are those of gantry.api, described in docs/api.md."""

TYPE_CHECKING = False  # for type checkers it is true; typing's own costs more than the rest of this import

if TYPE_CHECKING:
    from gantry.api import find_runs, load_generator, read_metrics, sample, score

__all__ = ["find_runs", "load_generator", "read_metrics", "sample", "score"]


def __getattr__(name: str) -> object:
    """Import the API when it is first used: every command imports this package, and must start at once."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from gantry import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
