"""Image files that Pillow does not write: PNGs of any depth, with a transparent level."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def make_png(levels: NDArray, depth: int, colour_type: int, key: tuple[int, ...] = ()) -> bytes:
    """Return a PNG of levels [H, W] or [H, W, C] with `depth` bits each; `key` is its transparent level or colour."""
    height, width = levels.shape[:2]
    if depth == 16:
        rows = levels.astype(">u2").reshape(height, -1)
    else:
        bits = np.unpackbits(levels.astype(np.uint8).reshape(height, -1, 1), axis=2)[:, :, 8 - depth :]
        rows = np.packbits(bits.reshape(height, -1), axis=1)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    transparency = make_chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) if key else b""
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = (make_chunk(b"IHDR", header), transparency, make_chunk(b"IDAT", pixels), make_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def make_png_header(width: int, height: int) -> bytes:
    """Return the first bytes of an RGBA PNG of any size."""
    header = make_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + make_chunk(b"IDAT", zlib.compress(b""))


def make_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
