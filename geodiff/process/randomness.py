"""Noise that belongs to the sample, not to the batch: a counter-based generator with one stream per
row.
"""

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor


class Noise:
    """Random numbers whose row i comes from stream (seed, record i, sample i), whatever else is in
    the batch.

    Pass it wherever a `torch.Generator` is asked for. Number j of a row depends on the stream, on
    how many draws came before, and on j only: a row is the same in any batch, on any rank and
    device, after any restart, and with any padding behind it. Each draw moves on to fresh numbers.
    Pickles, with its place.

    Args:
        seed: whole number, common to all rows.
        record: int, or one int per row.
        samples: one int per row; None numbers the rows 0, 1, 2, ...

    Raises: ValueError for records and samples of different numbers.
    Source: SplitMix64 (Steele et al. 2014) started at a BLAKE2b hash of the key; normals by Box and
        Muller 1958.
    """

    def __init__(
        self, seed: int, record: int | Sequence[int] = 0, samples: Sequence[int] | None = None
    ):
        self.seed = int(seed)
        self.samples = None if samples is None else tuple(int(i) for i in samples)
        self.record = int(record) if isinstance(record, int) else tuple(int(i) for i in record)
        named = [row for row in (self.record, self.samples) if isinstance(row, tuple)]
        if len({len(row) for row in named}) > 1:
            raise ValueError(
                f"record, samples: expected one of each per row, got {len(named[0])} and "
                f"{len(named[1])}"
            )
        self._known = len(named[0]) if named else None  # rows, where they are named
        self.draws = 0
        self._keys: Tensor | None = None  # one per row, made at the first draw

    def streams(self, records: int | Sequence[int], samples: Sequence[int]) -> "Noise":
        """A fresh Noise of the same seed whose rows are these records and samples.

        Args:
            records: int, or one int per row.
            samples: one int per row.
        """
        return Noise(self.seed, records, samples)

    def randn(
        self, *size: int, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """Standard normal numbers, (rows, ...); float32 and float64 draws agree to rounding.

        Args:
            size: rows first.
            dtype: of real numbers; None is torch's default.
            device: None is the CPU.
        """
        rows, count = self._rows(size), math.prod(size[1:])
        uniform = self._uniform(rows, 2 * ((count + 1) // 2)).unflatten(1, (-1, 2))
        radius = torch.sqrt(-2 * torch.log1p(-uniform[..., 0]))
        angle = 2 * math.pi * uniform[..., 1]
        normal = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], -1).flatten(1)
        return _finish(normal[:, :count].reshape(size), dtype, device)

    def rand(
        self, *size: int, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """Uniform numbers in [0, 1), (rows, ...).

        Args:
            size: rows first.
            dtype: of real numbers; None is torch's default.
            device: None is the CPU.
        """
        uniform = self._uniform(self._rows(size), math.prod(size[1:])).reshape(size)
        dtype = torch.get_default_dtype() if dtype is None else dtype
        # Rounding to a shorter dtype can reach 1; the largest number below it keeps the interval
        # open.
        return _finish(uniform, dtype, device).clamp(max=1 - torch.finfo(dtype).eps / 2)

    def _rows(self, size: tuple[int, ...]) -> int:
        if not size:
            raise ValueError("size: a Noise draws rows, one per sample; got no axis. Ask for (1,)")
        if self._known is not None and size[0] != self._known:
            raise ValueError(
                f"size: this Noise has {self._known} rows, got {tuple(size)}; use "
                "noise.streams(records, samples) to name the rows of another batch"
            )
        return size[0]

    def _uniform(self, rows: int, count: int) -> Tensor:
        """53-bit uniform numbers in [0, 1), (rows, count) float64 on the CPU; moves to the next
        draw.
        """
        if self._keys is None or len(self._keys) < rows:
            samples = range(rows) if self.samples is None else self.samples
            records = (self.record,) * rows if isinstance(self.record, int) else self.record
            keys = [_key(self.seed, *row) for row in zip(records, samples, strict=True)]
            self._keys = torch.tensor(keys, dtype=torch.int64)
        self.draws += 1
        # Each draw starts at a place of its own in the generator's one cycle of 2^64.
        start = _mix(self._keys[:rows, None] + _signed(self.draws * _DRAW % (1 << 64)))
        state = start + _GAMMA * torch.arange(1, count + 1)
        return _shift_right(_mix(state), 11).to(torch.float64) * 2.0**-53


def _signed(value: int) -> int:
    """The int64 with the bits of an unsigned 64-bit number."""
    return value - (1 << 64) if value >= 1 << 63 else value


_GAMMA, _DRAW = _signed(0x9E3779B97F4A7C15), 0xD1342543DE82EF95
_MULTIPLIERS = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def _key(*parts: int) -> int:
    digest = hashlib.blake2b(",".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _shift_right(value: Tensor, bits: int) -> Tensor:
    """Logical shift; int64 shifts copy the sign bit."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _mix(state: Tensor) -> Tensor:
    """SplitMix64's output function; int64 products wrap around, as its unsigned ones do."""
    state = (state ^ _shift_right(state, 30)) * _MULTIPLIERS[0]
    state = (state ^ _shift_right(state, 27)) * _MULTIPLIERS[1]
    return state ^ _shift_right(state, 31)


def _finish(value: Tensor, dtype: torch.dtype | None, device: torch.device | str | None) -> Tensor:
    return value.to(dtype=torch.get_default_dtype() if dtype is None else dtype, device=device)


Generator = torch.Generator | Noise | None
"""Where random numbers come from; None is torch's own global state."""
