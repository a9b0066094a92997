"""Renders what mmdet's visualizer does not: named points, questions and generated text."""

import contextlib
import math
import threading
import warnings
from collections.abc import Iterator, Sequence
from itertools import cycle, islice

import matplotlib
import numpy as np
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData
from PIL import Image, ImageDraw
from torch import Tensor

from . import fonts

DRAWING = threading.RLock()
"""Lock held while a picture is rendered and read: a visualizer has one canvas, and Matplotlib's settings are global."""


@VISUALIZERS.register_module()
class InstructionVisualizer(DetLocalVisualizer):
    """mmdet's DetLocalVisualizer, which also draws named points, and writes questions and answers below the image.

    Args:
        name: see mmdet's DetLocalVisualizer.
        args: see mmdet's DetLocalVisualizer.
        min_size: images whose longer side is below it, in px, are enlarged by a whole factor to at least this size;
            names and scores on an image of 128 px are not legible.
        kwargs: see mmdet's DetLocalVisualizer.
    """

    def __init__(self, name: str = 'visualizer', *args, min_size: int = 0, **kwargs) -> None:
        super().__init__(name, *args, **kwargs)
        self.min_size = min_size

    def set_image(self, image: np.ndarray) -> None:
        """Starts to render on an image (H, W, 3; RGB)."""
        super().set_image(image)
        # Objects that reach over the border must not enlarge the picture.
        self.ax_save.autoscale(False)

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: DetDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        **kwargs,
    ) -> None:
        """Renders an image (H, W, 3; RGB) with its sample, see mmdet's DetLocalVisualizer."""
        factor = math.ceil(self.min_size / max(image.shape[:2]))
        if factor > 1:
            image = np.kron(image, np.ones((factor, factor, 1), image.dtype))
            data_sample = data_sample and _enlarge(data_sample, factor)
        with DRAWING:
            if draw_pred and data_sample is not None and data_sample.get('pred_text'):
                turns = [data_sample.question, *data_sample.get('history', ())] if 'question' in data_sample else []
                image = write_below(image, [*turns[-1:], data_sample.pred_text])
            super().add_datasample(name, image, data_sample, draw_gt, draw_pred, **kwargs)

    def draw_texts(
        self,
        texts: str | list[str],
        positions: np.ndarray | Tensor,
        font_sizes: int | list[int] | None = None,
        **kwargs,
    ) -> 'InstructionVisualizer':
        """Writes texts, see mmengine's Visualizer; the font size of names and scores grows with the picture.

        Letters that the font lacks are taken from another one.
        """
        texts = [fonts.drawable(text) for text in ([texts] if isinstance(texts, str) else texts)]
        kwargs.setdefault('font_families', [fonts.families(text) for text in texts])
        if isinstance(font_sizes, int):
            # mmdet uses 6 pt for objects smaller than 170 x 170 px, and 13 pt for the rest.
            font_sizes = max(font_sizes, min(13, round(min(self.height, self.width) / 50)))
        earlier = list(self.ax_save.texts)
        super().draw_texts(texts, positions, font_sizes, **kwargs)
        for label in self.ax_save.texts[len(earlier) :]:
            self._place(label, earlier)
            earlier.append(label)
        return self

    def _place(self, label: Text, earlier: Sequence[Text]) -> None:
        """Moves a label into the picture, and below earlier labels that it would cover if there is room."""
        box, *others = (self._extent(text).padded(1) for text in (label, *earlier))
        dx = max(min(0, self.width - box.xmax), -box.xmin)
        dy = max(min(0, self.height - box.ymax), -box.ymin)
        box, down = box.translated(dx, dy), 0
        for other in sorted(others, key=lambda other: other.ymin):
            if box.translated(0, down).fully_overlaps(other):
                down = other.ymax - box.ymin
        x, y = label.get_position()
        label.set_position((x + dx, y + dy + (down if box.ymax + down <= self.height else 0)))

    def _extent(self, text: Text) -> Bbox:
        """Box of a text in px of the image, whose y grows downwards."""
        box = text.get_window_extent().transformed(self.ax_save.transData.inverted())
        return Bbox.from_extents(*box.min, *box.max)

    def _draw_instances(
        self, image: np.ndarray, instances: InstanceData, classes: list[str] | None, palette: list[tuple] | str | None
    ) -> np.ndarray:
        # The class set of an instruction may be longer than the data set's list of colors.
        if isinstance(palette, list) and len(instances):
            palette = list(islice(cycle(palette), int(instances.labels.max()) + 1))
        # A dollar sign in a class name starts no formula, and an object may reach over the border.
        with matplotlib.rc_context({'text.parse_math': False}), warnings.catch_warnings(), _seeded():
            warnings.filterwarnings('ignore', message='.* is out of bounds')
            picture = super()._draw_instances(image, instances, classes, palette)
            if 'points' not in instances or 'masks' in instances or not len(instances):
                return picture
            return self._draw_points(picture, instances.points.flatten(0, 1).numpy())

    def _draw_points(self, image: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Renders points (n, 2) in px on an image (H, W, 3); NaN points are left out."""
        self.set_image(image)
        radius = max(1.0, min(image.shape[:2]) / 100)
        points = points[~np.isnan(points).any(axis=1)]
        self.draw_circles(
            points,
            radius=np.full(len(points), radius),
            face_colors='white',
            edge_colors='black',
            line_widths=radius / 2,
        )
        return self.get_image()


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """NumPy's random numbers are the same each time: mmdet varies the colors of masks by them."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)


def _enlarge(sample: DetDataSample, factor: int) -> DetDataSample:
    """A copy whose instances fit an image that is larger by the factor."""
    sample = sample.clone()
    for name in ('pred_instances', 'gt_instances'):
        if name not in sample:
            continue
        instances = InstanceData(**{key: value for key, value in sample.get(name).items() if key != 'masks'})
        for key in ('bboxes', 'points'):
            if key in instances:
                instances[key] = instances[key] * factor
        if isinstance(sample.get(name).get('masks'), Tensor):
            instances.masks = sample.get(name).masks.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        setattr(sample, name, instances)
    return sample


def write_below(image: np.ndarray, paragraphs: list[str]) -> np.ndarray:
    """An image with text in a white strip below it.

    Args:
        image: (H, W, 3) uint8.
        paragraphs: each starts on a new line; lines are broken at the width of the image, between words, or within one
            that is longer than a line.

    Returns:
        (H + h, W, 3) uint8; the first H rows are the image.
    """
    width = image.shape[1]
    size = max(10, width // 32)
    margin, step = size // 2, round(1.3 * size)
    lines = [
        line for paragraph in paragraphs for line in _break(fonts.drawable(paragraph), size, max(1, width - 2 * margin))
    ]
    strip = Image.new('RGB', (width, step * len(lines) + margin), 'white')
    draw = ImageDraw.Draw(strip)
    for i, line in enumerate(lines):
        x, baseline = margin, margin // 2 + i * step + size
        for letters, font in fonts.runs(line, size):
            draw.text((x, baseline), letters, fill='black', font=font, anchor='ls')
            x += font.getlength(letters)
    return np.concatenate([image, np.asarray(strip)])


def _break(paragraph: str, size: int, width: int) -> list[str]:
    """Lines of at most a width in px."""

    def is_too_wide(text: str) -> bool:
        return sum(font.getlength(letters) for letters, font in fonts.runs(text, size)) > width

    lines = ['']
    for word in paragraph.split():
        longer = f'{lines[-1]} {word}'.strip()
        if is_too_wide(longer) and lines[-1]:
            lines.append('')
            longer = word
        while is_too_wide(longer) and len(longer) > 1:
            fitting = next(n for n in range(len(longer) - 1, 0, -1) if n == 1 or not is_too_wide(longer[:n]))
            lines[-1] = longer[:fitting]
            lines.append('')
            longer = longer[fitting:]
        lines[-1] = longer
    return lines
