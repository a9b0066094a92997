"""Masks as polygons (c, x1, y1, ..., xN, yN) (paper, section 3.2; docs/decisions.md#polygons)."""

import numpy as np
from contourpy import contour_generator
from pycocotools import mask as coco_mask


def encode_polygon(mask: np.ndarray, num_points: int) -> np.ndarray:
    """N points on the polygon around a mask's largest part.

    The points have equal distances along the polygon and run clockwise as seen on the screen. The first point is the
    rightmost one at the height of the middle of the part's box. Holes are left out.

    Args:
        mask: (H, W), nonzero inside.
        num_points: N, at least 3.

    Returns:
        (N, 2) float64 px, x and y; pixel (i, j) covers x from j to j + 1 and y from i to i + 1.

    Raises:
        ValueError: when the mask is empty or N is below 3.
    """
    if num_points < 3:
        raise ValueError(f'a polygon needs at least 3 points, got {num_points}')
    polygon = _largest_polygon(mask)
    following = np.roll(polygon, -1, axis=0)
    lengths = np.linalg.norm(following - polygon, axis=1)
    distances = np.concatenate([[0.0], lengths.cumsum()])
    start = _distance_of_first_point(polygon, following, lengths, distances)
    sampled = (start + distances[-1] * np.arange(num_points) / num_points) % distances[-1]
    closed = np.concatenate([polygon, polygon[:1]])
    return np.stack([np.interp(sampled, distances, closed[:, axis]) for axis in (0, 1)], axis=1)


def _largest_polygon(mask: np.ndarray) -> np.ndarray:
    """(P, 2) px, vertices of the polygon that encloses the largest area, clockwise."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        raise ValueError('an empty mask has no polygon')
    top, left = rows.min(), columns.min()
    part = np.asarray(mask[top : rows.max() + 1, left : columns.max() + 1]) != 0
    # Values lie at pixel centers, with a border of zeros around them: the contour at 0.5 runs along the pixels' edges.
    lines = contour_generator(z=np.pad(part, 1).astype(np.float64)).lines(0.5)
    areas = [_signed_area(line[:-1]) for line in lines]
    largest = int(np.abs(areas).argmax())
    polygon = lines[largest][:-1]
    if areas[largest] < 0:
        polygon = polygon[::-1]
    return polygon + (left - 0.5, top - 0.5)


def _signed_area(polygon: np.ndarray) -> float:
    """Area of a polygon, px^2; positive where its vertices run clockwise on the screen (y points down)."""
    x, y = polygon.T
    return 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


def _distance_of_first_point(
    polygon: np.ndarray, following: np.ndarray, lengths: np.ndarray, distances: np.ndarray
) -> float:
    """Distance along the polygon of its rightmost point at the height of the box's middle."""
    middle = (polygon[:, 1].min() + polygon[:, 1].max()) / 2
    above, below = polygon[:, 1] - middle, following[:, 1] - middle
    crossing = np.nonzero((above <= 0) != (below <= 0))[0]
    share = above[crossing] / (above[crossing] - below[crossing])
    x = polygon[crossing, 0] + share * (following[crossing, 0] - polygon[crossing, 0])
    rightmost = int(x.argmax())
    return float(distances[crossing[rightmost]] + share[rightmost] * lengths[crossing[rightmost]])


def decode_polygon(points_xy: np.ndarray, height: int, width: int) -> dict:
    """The mask inside a polygon as a compressed COCO RLE.

    Args:
        points_xy: (N, 2) px, N >= 3.
        height: H of the mask.
        width: W of the mask.
    """
    return coco_mask.merge(coco_mask.frPyObjects([points_xy.reshape(-1).tolist()], height, width))
