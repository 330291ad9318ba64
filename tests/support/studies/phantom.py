"""A chest to look at, in slices: skin, fat, lungs with vessels, ribs, spine, aorta.

Its noise is correlated as after a reconstruction kernel, so that it compresses like real CT.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Plane: TypeAlias = npt.NDArray[np.float32]


def generator(*parts: object) -> np.random.Generator:
    """Random numbers that depend on `parts` alone."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


class Phantom:
    """A chest of `size` by `size` pixels, in Hounsfield units, or like an MR image."""

    def __init__(self, size: int, seed: str, *, mr: bool) -> None:
        random = generator(seed, "phantom")
        self._size, self._mr = size, mr
        grid = (np.arange(size, dtype=np.float32) - size / 2 + 0.5) / (size / 2)
        self._x, self._y = grid[None, :], grid[:, None]
        noise: Plane = random.standard_normal((size + 64, size + 64)).astype(np.float32)
        for axis in (0, 1):
            smooth = (noise + np.roll(noise, 1, axis) + 0.5 * np.roll(noise, 2, axis)) / 2.5
            noise = smooth.astype(np.float32)
        self._noise = noise * np.float32(12 / noise.std())
        self._vessels = random.uniform(-1, 1, (40, 3))
        self._scale = float(random.uniform(0.85, 1.05))

    def slice(self, z: float, index: int) -> Plane:
        """The plane at height `z`, 0 to 1; `index` picks its noise."""
        scale = self._scale * (1 - 0.25 * (z - 0.5) ** 2)
        lung = float(np.sin(np.pi * min(max(z, 0.05), 0.95)))
        plane: Plane = np.full((self._size, self._size), -1000, np.float32)
        body = self._ellipse(0, 0.05, 0.82 * scale, 0.58 * scale)
        plane[body < 1] = -90  # fat
        plane[body < 0.86] = 45  # muscle
        angle = np.arctan2(self._y - 0.05, self._x)
        plane[(abs(body - 0.80) < 0.035) & (np.sin(angle * 12 + z * 9) > 0.35)] = 420  # ribs
        for side in (-1, 1):
            self._add_lung(plane, side * 0.36 * scale, lung, scale, z)
        plane[self._ellipse(0.08, 0.08, 0.13, 0.16) < 1] = 55  # heart
        plane[self._ellipse(0.10, 0.30, 0.05, 0.05) < 1] = 180 + 40 * np.sin(9 * z)  # aorta
        spine = self._ellipse(0, 0.40, 0.12, 0.11)
        plane[spine < 1] = 280
        plane[spine < 0.25] = 20  # canal
        if self._mr:
            dense = np.where(plane > 250, 90, np.where(plane < -50, 780, 380 + plane))
            plane = np.where(plane < -500, 4, dense).astype(np.float32)
        top, left = (index * 7) % 64, (index * 13) % 64
        noisy: Plane = plane + self._noise[top : top + self._size, left : left + self._size]
        return noisy

    def _add_lung(self, plane: Plane, center: float, lung: float, scale: float, z: float) -> None:
        width, height = (0.27 * lung + 0.01) * scale, (0.42 * lung + 0.01) * scale
        inside = self._ellipse(center, 0.02, width, height) < 1
        plane[inside] = -860
        for x, y, depth in self._vessels:
            radius = 0.008 + 0.01 * abs(depth)
            at_y = y * 0.32 * lung + 0.05 * np.sin(6 * z + depth)
            vessel = self._ellipse(center + x * 0.2 * lung, at_y, radius, radius)
            plane[(vessel < 1) & inside] = 30

    def _ellipse(self, x: float, y: float, width: float, height: float) -> Plane:
        distance: Plane = ((self._x - x) / width) ** 2 + ((self._y - y) / height) ** 2
        return distance
