"""The memory of figures is free as soon as they are drawn."""

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.artist import Artist

from gantry.figures.curves import write_curves
from gantry.figures.garbage import free_cycles
from gantry.figures.scatter import draw_scatter


@pytest.fixture(autouse=True)
def without_automatic_collection() -> Iterator[None]:
    """Collect garbage only where the code asks for it; the first figures make objects that matplotlib keeps."""
    draw_scatter(torch.zeros(2, 2))
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def count_artists() -> int:
    return sum(issubclass(type(thing), Artist) for thing in gc.get_objects())


def test_no_part_of_a_scatter_remains() -> None:
    before = count_artists()
    draw_scatter(torch.zeros(5, 2), real=torch.ones(5, 2))
    assert count_artists() == before


def test_no_part_of_the_curves_remains(tmp_path: Path) -> None:
    before = count_artists()
    columns = {"turn": np.arange(4.0), "kimg": np.arange(4.0), "loss/D": np.arange(4.0), "score/fd": np.ones(4)}
    write_curves(columns, tmp_path / "curves.png", best_turn=2)
    assert (tmp_path / "curves.png").is_file()
    assert count_artists() == before


@pytest.mark.parametrize("enabled", [True, False])
def test_automatic_collection_is_as_before(enabled: bool) -> None:
    if enabled:
        gc.enable()
    with contextlib.suppress(KeyError), free_cycles():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled() == enabled
