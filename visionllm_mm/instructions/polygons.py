"""Outlines as boundary points: how (c, x1, y1, ..., xN, yN) writes a mask (paper, section 3.2; design 3.8)."""

import numpy as np
from contourpy import contour_generator
from pycocotools import mask as coco_mask


def encode_polygon(mask: np.ndarray, num_points: int) -> np.ndarray:
    """N points on the outline of a mask's largest part.

    They lie at equal distances along the outline, clockwise as seen on the screen, and start where the horizontal line
    through the middle of the part's box leaves it on the right. Holes are not written.

    Args:
        mask: (H, W), nonzero inside.
        num_points: N, at least 3.

    Returns:
        (N, 2) float64 px, x and y; pixel (i, j) covers x from j to j + 1 and y from i to i + 1.

    Raises:
        ValueError: when the mask is empty or N is below 3.
    """
    if num_points < 3:
        raise ValueError(f'an outline needs at least 3 points, got {num_points}')
    outline = _largest_outline(mask)
    following = np.roll(outline, -1, axis=0)
    lengths = np.linalg.norm(following - outline, axis=1)
    travelled = np.concatenate([[0.0], lengths.cumsum()])
    start = _start(outline, following, lengths, travelled)
    at = (start + travelled[-1] * np.arange(num_points) / num_points) % travelled[-1]
    closed = np.concatenate([outline, outline[:1]])
    return np.stack([np.interp(at, travelled, closed[:, axis]) for axis in (0, 1)], axis=1)


def _largest_outline(mask: np.ndarray) -> np.ndarray:
    """(P, 2) px, vertices of the outline that encloses the largest area, clockwise."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        raise ValueError('an empty mask has no outline')
    top, left = rows.min(), columns.min()
    part = np.asarray(mask[top : rows.max() + 1, left : columns.max() + 1]) != 0
    # Values at pixel centers, a border of zeros around them: the outline at 0.5 runs along the pixels' edges.
    lines = contour_generator(z=np.pad(part, 1).astype(np.float64)).lines(0.5)
    areas = [_signed_area(line[:-1]) for line in lines]
    largest = int(np.abs(areas).argmax())
    outline = lines[largest][:-1]
    if areas[largest] < 0:
        outline = outline[::-1]
    return outline + (left - 0.5, top - 0.5)


def _signed_area(polygon: np.ndarray) -> float:
    """Area of a polygon, px^2; positive where its vertices run clockwise on the screen (y points down)."""
    x, y = polygon.T
    return 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


def _start(outline: np.ndarray, following: np.ndarray, lengths: np.ndarray, travelled: np.ndarray) -> float:
    """Distance along the outline of its rightmost point at the height of the box's middle."""
    middle = (outline[:, 1].min() + outline[:, 1].max()) / 2
    above, below = outline[:, 1] - middle, following[:, 1] - middle
    crossing = np.nonzero((above <= 0) != (below <= 0))[0]
    share = above[crossing] / (above[crossing] - below[crossing])
    x = outline[crossing, 0] + share * (following[crossing, 0] - outline[crossing, 0])
    rightmost = int(x.argmax())
    return float(travelled[crossing[rightmost]] + share[rightmost] * lengths[crossing[rightmost]])


def decode_polygon(points_xy: np.ndarray, height: int, width: int) -> dict:
    """The mask inside boundary points as a compressed COCO RLE.

    Args:
        points_xy: (N, 2) px, N >= 3.
        height: H of the mask.
        width: W of the mask.
    """
    return coco_mask.merge(coco_mask.frPyObjects([points_xy.reshape(-1).tolist()], height, width))
