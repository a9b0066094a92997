"""The eight shapes of MiniScenes as outlines, and their supersampled masks."""

from __future__ import annotations

import cv2
import numpy as np

# Masks are rendered at this many times the resolution of the image and averaged down: antialiased edges, and
# polygons with sub-pixel vertices.
SUPERSAMPLE = 4
# fillPoly takes vertices as fixed-point numbers with this many fractional bits.
_FIXED_POINT_BITS = 4


def _arc(start_deg: float, stop_deg: float, radius: float = 1.0, center_x: float = 0.0, points: int = 48) -> np.ndarray:
    angles = np.deg2rad(np.linspace(start_deg, stop_deg, points, endpoint=False))
    return np.stack([center_x + radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _regular(corners: int) -> np.ndarray:
    return _arc(-90, 270, points=corners)


def _star(inner_radius: float = 0.45) -> np.ndarray:
    outline = _arc(-90, 270, points=10)
    outline[1::2] *= inner_radius
    return outline


def _cross(half_arm: float = 0.32) -> np.ndarray:
    tip = float(np.sqrt(1 - half_arm**2))
    quarter = np.array([[half_arm, -tip], [half_arm, -half_arm], [tip, -half_arm]])
    turn = np.array([[0, 1], [-1, 0]])  # row vectors: (x, y) @ turn is a quarter turn
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])


def _crescent(bite_radius: float = 0.85, bite_x: float = 0.45) -> np.ndarray:
    """The unit disk less a disk of ``bite_radius`` at (``bite_x``, 0)."""
    tip_x = (1 - bite_radius**2 + bite_x**2) / (2 * bite_x)
    tip_y = np.sqrt(1 - tip_x**2)
    outer = np.rad2deg(np.arctan2(tip_y, tip_x))
    inner = np.rad2deg(np.arctan2(tip_y, tip_x - bite_x))
    return np.concatenate(
        [
            _arc(outer, 360 - outer),
            _arc(360 - inner, inner, bite_radius, bite_x),
        ]
    )


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    outline = np.stack([16 * np.sin(t) ** 3, -y], axis=1)
    outline -= (outline.min(0) + outline.max(0)) / 2
    return outline / np.linalg.norm(outline, axis=1).max()


# Name -> closed outlines [(points, 2), ...] inside the unit circle, y downward. The first outline
# is the outer one, any further one is a hole.
OUTLINES: dict[str, list[np.ndarray]] = {
    'circle': [_arc(0, 360)],
    'square': [_regular(4)],
    'triangle': [_regular(3)],
    'star': [_star()],
    'ring': [_arc(0, 360), _arc(0, 360, radius=0.55)],
    'cross': [_cross()],
    'crescent': [_crescent()],
    'heart': [_heart()],
}


def place_outline(shape: str, center_xy: tuple[float, float], diameter: float, angle: float) -> list[np.ndarray]:
    """Outlines of a shape in the image.

    Args:
        shape: A key of ``OUTLINES``.
        center_xy: Center of the circumscribed circle, px.
        diameter: Diameter of the circumscribed circle, px.
        angle: Rotation in radians.

    Returns:
        One (points, 2) float array of xy in px per outline.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    rotate = np.array([[cos, sin], [-sin, cos]])
    return [o @ rotate * (diameter / 2) + np.asarray(center_xy) for o in OUTLINES[shape]]


def outline_area(outlines: list[np.ndarray]) -> float:
    """Area in px^2 of the outer outline less its holes, parts outside the image included."""
    outer, *holes = (abs(cv2.contourArea(o.astype(np.float32))) for o in outlines)
    return outer - sum(holes)


def draw_fine_mask(outlines: list[np.ndarray], size: int) -> np.ndarray:
    """Render outlines (px of the image) as a mask of ``SUPERSAMPLE`` times the resolution.

    Args:
        outlines: Outlines in px of an image of ``size`` x ``size`` px.
        size: Side of the image, px.

    Returns:
        (size * SUPERSAMPLE, size * SUPERSAMPLE) uint8; 255 means inside the shape.
    """
    mask = np.zeros((size * SUPERSAMPLE, size * SUPERSAMPLE), np.uint8)
    scale = 1 << _FIXED_POINT_BITS
    # The center of fine pixel 0 lies at 0.5 / SUPERSAMPLE px.
    fixed = [np.round((o * SUPERSAMPLE - 0.5) * scale).astype(np.int32) for o in outlines]
    cv2.fillPoly(mask, fixed, 255, lineType=cv2.LINE_AA, shift=_FIXED_POINT_BITS)
    # OpenCV adds a line along the border to what it fills. Of the antialiased line only the inner
    # part has the full value; without the rest the area is that of the outline (to 0.1 %).
    return cv2.threshold(mask, 254, 255, cv2.THRESH_BINARY)[1]


def average_down(fine_mask: np.ndarray) -> np.ndarray:
    """Coverage of each image pixel, (H, W) uint8 in 0..255, from a fine mask of whole pixels."""
    height, width = (side // SUPERSAMPLE for side in fine_mask.shape)
    return cv2.resize(fine_mask, (width, height), interpolation=cv2.INTER_AREA)


def find_pixels(fine_mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the image pixels that a non-empty fine mask touches."""
    x, y, w, h = cv2.boundingRect(fine_mask)
    return (slice(y // SUPERSAMPLE, -(-(y + h) // SUPERSAMPLE)), slice(x // SUPERSAMPLE, -(-(x + w) // SUPERSAMPLE)))
