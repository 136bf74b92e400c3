"""Write the kinds of output of sample.py. Memory depends on the batch and not on the number of samples."""

import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from gantry.commands.hardware import pick_device
from gantry.commands.sample_request import SampleRequest, sample_file_names
from gantry.errors import user_errors
from gantry.figures.animation import write_animation
from gantry.figures.image_grid import to_pil_image, write_png
from gantry.figures.sample_sheet import SampleSheet
from gantry.files import atomic_write
from gantry.nets.contract import Generator, count_latent_numbers
from gantry.pixels import to_uint8
from gantry.runs.generator import load_saved_generator
from gantry.sampling.generate import GENERATE_BATCH_SIZE, generate_on_cpu
from gantry.sampling.latents import balanced_labels, sample_latents, slerp
from gantry.sampling.truncation import truncate_generator, truncate_latents

MAX_CLASS_ROWS = 20

NUM_WALKS = 16  # images side by side in an interpolation

FRAMES_PER_SEGMENT = 16  # from one latent to the next

WALK_FRAME_MILLISECONDS = 50  # of each frame

OutputWriter = Callable[[Generator, SampleRequest, Path, str], None]


def write_generated_samples(
    kind: str, folder: Path, request: SampleRequest, out: Path, device: str, trusted: Sequence[str] = ()
) -> None:
    """Write the output `kind` with the generator in a folder, on the device; `trusted` packages may define it."""
    with user_errors():
        there = pick_device(device)
    G = truncate_generator(load_saved_generator(folder, trusted).to(there), request.truncation)
    out.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT_WRITERS[kind](G, request, out, there)


def make_inputs(G: Generator, request: SampleRequest, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Return latents [n, z_dim + noise_dim] and classes [n] of the samples start..stop-1."""
    z = sample_latents(request.seed, start, stop, count_latent_numbers(G))
    z = truncate_latents(z, G, request.truncation)
    if request.label is not None:
        return z, torch.full((stop - start,), request.label)
    return z, balanced_labels(start, stop, G.num_classes)


def generate_batches(G: Generator, request: SampleRequest, device: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all samples x float [n, *shape] on the CPU with their classes c [n], batch by batch."""
    for start in tqdm(range(0, request.n, GENERATE_BATCH_SIZE), unit="batch", disable=None, leave=False):
        z, c = make_inputs(G, request, start, min(start + GENERATE_BATCH_SIZE, request.n))
        yield generate_on_cpu(G, z, c, device), c


def write_grid(G: Generator, request: SampleRequest, out: Path, device: str) -> None:
    """Write one picture of all samples: a row for each class if they are samples of all classes, else a square."""
    z, c = make_inputs(G, request, 0, request.n)
    by_class = request.label is None and 1 < G.num_classes <= min(request.n, MAX_CLASS_ROWS)
    rows = G.num_classes if by_class else None
    c = torch.arange(request.n) % G.num_classes if by_class else c  # as in the pictures during training
    write_png(SampleSheet(z, c, rows=rows, columns=math.isqrt(request.n - 1) + 1).render(G, device), out)


def write_pngs(G: Generator, request: SampleRequest, out: Path, device: str) -> None:
    """Write a folder of PNGs: `00000.png`, ..."""
    remaining = iter(sample_file_names(request.n))
    for x, _ in generate_batches(G, request, device):
        for pixels in to_uint8(x).permute(0, 2, 3, 1).numpy():
            write_png(pixels, out / next(remaining))


def write_npz(G: Generator, request: SampleRequest, out: Path, device: str) -> None:
    """Write an npz: `arr_0` uint8 [N, H, W, C] (points: float32 [N, 2]) and, with classes, `arr_1` int64 [N]."""
    shape = (request.n, *G.shape) if len(G.shape) == 1 else (request.n, *G.shape[1:], G.shape[0])
    classes = []
    with atomic_write(out) as part, zipfile.ZipFile(part, "w") as archive:
        with archive.open("arr_0.npy", "w", force_zip64=True) as file:
            write_npy_header(file, shape, np.dtype("float32" if len(shape) == 2 else "uint8"))
            for x, c in generate_batches(G, request, device):
                pixels = x if x.ndim == 2 else to_uint8(x).permute(0, 2, 3, 1)
                file.write(np.ascontiguousarray(pixels.numpy()).tobytes())
                classes.append(c)
        if G.num_classes:
            with archive.open("arr_1.npy", "w") as file:
                np.lib.format.write_array(file, torch.cat(classes).numpy())


def write_npy_header(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Write the header of an .npy array, whose values follow in any number of pieces."""
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})


def write_interpolation(G: Generator, request: SampleRequest, out: Path, device: str) -> None:
    """Write `n` frames of a closed walk from latent to latent, for several images at once."""
    stops = max(2, round(request.n / FRAMES_PER_SEGMENT))
    walks = NUM_WALKS if len(G.shape) == 3 else GENERATE_BATCH_SIZE
    z, _ = make_inputs(G, request, 0, stops * walks)
    _, c = make_inputs(G, request, 0, walks)
    z = z.view(stops, walks, -1)
    frames = (to_pil_image(render_frame(G, z, c, i * stops / request.n, device)) for i in range(request.n))
    write_animation(frames, out, WALK_FRAME_MILLISECONDS, lossless=G.shape[0] == 1)


def render_frame(G: Generator, z: Tensor, c: Tensor, position: float, device: str) -> NDArray[np.uint8]:
    """Return the picture at a position on the walk through z [stops, walks, z_dim + noise_dim], counted in stops.

    The noise is that of the first stop throughout: noise between two others would be weaker than either.
    """
    stop, noise = int(position), z[0, :, G.z_dim :]
    start, end = z[stop, :, : G.z_dim], z[(stop + 1) % len(z), :, : G.z_dim]
    between = torch.cat([slerp(start, end, position - stop), noise], 1)
    return SampleSheet(between, c, columns=4).render(G, device)


OUTPUT_WRITERS: dict[str, OutputWriter] = {
    "grid": write_grid,
    "png": write_pngs,
    "npz": write_npz,
    "interpolation": write_interpolation,
}
