"""Pixels of a scene: textured background, shaded objects, noise."""

from __future__ import annotations

import cv2
import numpy as np

from .scenes import SceneObject
from .shapes import SUPERSAMPLE, average_down, find_pixels
from .vocabulary import PALETTE

# Least distance (CIE 1976, L*a*b*) between the background and every object color in the scene.
# About 2 is just noticeable; the distance between the nearest two object colors is about 40.
MIN_CONTRAST = 32.0
_BACKGROUND_CANDIDATES = 48
_MAX_NOISE = 9.0  # standard deviation, of 255
_MAX_COLOR_JITTER = 10.0  # of 255, per channel
_MAX_SHADING = 0.12  # relative brightness at the edge of an object against its center


def render_scene(rng: np.random.Generator, objects: list[SceneObject], size: int) -> np.ndarray:
    """Render a scene.

    Args:
        rng: Source of all randomness.
        objects: From the hindmost to the foremost.
        size: Side of the image, px.

    Returns:
        (size, size, 3) uint8, RGB.
    """
    image = _render_background(rng, [obj.color for obj in objects], size)
    for obj in objects:
        rows, columns = find_pixels(obj.mask)
        part = image[rows, columns]
        opacity = average_down(obj.mask[_fine(rows), _fine(columns)])[..., None] / np.float32(255)
        part += opacity * (_shaded_color(rng, obj.color, *part.shape[:2]) - part)
    sigma = rng.uniform(0, _MAX_NOISE)
    image += sigma * rng.standard_normal(image.shape, np.float32)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _fine(pixels: slice) -> slice:
    return slice(pixels.start * SUPERSAMPLE, pixels.stop * SUPERSAMPLE)


def _shaded_color(rng: np.random.Generator, name: str, height: int, width: int) -> np.ndarray:
    """A color under a light from a random side, (height, width, 3) float32, about 0..255."""
    color = np.float32(PALETTE[name])
    color += rng.uniform(-_MAX_COLOR_JITTER, _MAX_COLOR_JITTER, 3).astype(np.float32)
    ramp = _unit_ramp(rng.uniform(0, 2 * np.pi), height, width)[..., None]
    return color * (1 + np.float32(rng.uniform(0, _MAX_SHADING)) * ramp)


def _render_background(rng: np.random.Generator, object_colors: list[str], size: int) -> np.ndarray:
    """A texture between two colors, (size, size, 3) float32, 0..255."""
    first, second = _sample_background_colors(rng, object_colors)
    texture = _TEXTURES[rng.integers(len(_TEXTURES))](rng, size)[..., None]
    return first + texture * (second - first)


def _sample_background_colors(rng: np.random.Generator, object_colors: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Two grayish colors such that no mixture of them comes near an object's color."""
    n = _BACKGROUND_CANDIDATES
    gray = rng.uniform(25, 230, (n, 1, 1))
    ends = gray + rng.uniform(-45, 45, (n, 2, 1)) + rng.uniform(-30, 30, (n, 2, 3))
    ends = np.clip(ends, 0, 255).astype(np.float32)
    if not object_colors:
        return ends[0, 0], ends[0, 1]
    mix = np.linspace(0, 1, 5, dtype=np.float32)[:, None]
    mixtures = ends[:, :1] + mix * (ends[:, 1:] - ends[:, :1])  # (n, 5, 3)
    targets = np.float32([PALETTE[c] for c in object_colors])
    gaps = _to_lab(mixtures.reshape(-1, 1, 3)) - _to_lab(targets)
    contrast = np.linalg.norm(gaps, axis=-1).reshape(n, -1).min(1)
    # The first sufficient one keeps the choice wide; without any, the best is taken.
    best = int(np.argmax(contrast > MIN_CONTRAST)) if contrast.max() > MIN_CONTRAST else int(np.argmax(contrast))
    return ends[best, 0], ends[best, 1]


def _to_lab(rgb: np.ndarray) -> np.ndarray:
    """RGB 0..255 (..., 3) to L*a*b* (L in 0..100), same shape."""
    flat = np.ascontiguousarray(rgb.reshape(-1, 1, 3) / np.float32(255))
    return cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).reshape(rgb.shape)


def _unit_ramp(angle: float, height: int, width: int) -> np.ndarray:
    """Coordinate along a direction, (height, width) float32, about -1..1 from side to side."""
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)
    return np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y[:, None]


# Each texture returns (size, size) float32 in 0..1.


def _gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.clip(_unit_ramp(rng.uniform(0, 2 * np.pi), size, size) / 2 + 0.5, 0, 1)


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    waves = np.float32(rng.uniform(2, 12) * np.pi)
    sharpness = np.float32(rng.uniform(1, 6))
    phase = np.float32(rng.uniform(0, 2 * np.pi))
    wave = np.sin(waves * _unit_ramp(rng.uniform(0, np.pi), size, size) + phase)
    return np.tanh(sharpness * wave) / 2 + 0.5


def _checkers(rng: np.random.Generator, size: int) -> np.ndarray:
    angle, frequency = rng.uniform(0, np.pi), np.float32(rng.uniform(2, 8) * np.pi)
    u, v = (_unit_ramp(a, size, size) for a in (angle, angle + np.pi / 2))
    return np.tanh(3 * np.sin(frequency * u) * np.sin(frequency * v)) / 2 + 0.5


def _ripples(rng: np.random.Generator, size: int) -> np.ndarray:
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = rng.uniform(-1, 1, 2).astype(np.float32)
    distance = np.hypot(axis - x, (axis - y)[:, None])
    return np.sin(np.float32(rng.uniform(6, 30)) * distance) / 2 + 0.5


def _blobs(rng: np.random.Generator, size: int) -> np.ndarray:
    return _smooth_noise(rng, size, cells=int(rng.integers(3, 10)))


def _grain(rng: np.random.Generator, size: int) -> np.ndarray:
    return _smooth_noise(rng, size, cells=int(rng.integers(24, 64)))


def _smooth_noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    coarse = rng.random((cells, cells), np.float32)
    return np.clip(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), 0, 1)


_TEXTURES = (_gradient, _stripes, _checkers, _ripples, _blobs, _grain)
