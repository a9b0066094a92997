"""A sheet of the first validation scenes with their annotations, rendered from the written files."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from .vocabulary import PALETTE

COLUMNS, MAX_ROWS = 6, 4
_IMAGE_SIDE = 384  # px on the sheet
_MARGIN = 10
_LINE_HEIGHT = 21
_TEXT_LINES = 7
_TILE_WIDTH = _IMAGE_SIDE + 2 * _MARGIN
_TILE_HEIGHT = _IMAGE_SIDE + 2 * _MARGIN + _TEXT_LINES * _LINE_HEIGHT
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.5
_INK, _PAPER = (25, 25, 25), (255, 255, 255)


def draw_contact_sheet(root: Path) -> np.ndarray:
    """Render up to ``COLUMNS * MAX_ROWS`` validation scenes of a written data set.

    Args:
        root: folder of the data set.

    Returns:
        (H, W, 3) uint8, RGB; below each scene a caption, an expression (its object has the thick
        box) and a question with its answer.
    """
    folder = root / 'annotations'
    instances = json.loads((folder / 'instances_val.json').read_text())
    images = instances['images'][: COLUMNS * MAX_ROWS]
    objects = _group(instances['annotations'], 'image_id')
    captions = _group(json.loads((folder / 'captions_val.json').read_text())['annotations'], 'image_id')
    refexp = json.loads((folder / 'refexp_val.json').read_text())
    expressions = _group(refexp['images'], 'original_id')
    targets = {a['image_id']: a for a in refexp['annotations']}
    conversations = json.loads((folder / 'conversations_val.json').read_text())

    tiles = []
    for index, (image, conversation) in enumerate(zip(images, conversations, strict=False)):
        of_image = expressions[image['id']]
        # Another type of expression and another turn on each tile, so that the sheet shows all.
        expression = of_image[index % len(of_image)] if of_image else None
        turn = index % len(conversation['question_types'])
        question, answer = (t['value'] for t in conversation['conversations'][2 * turn : 2 * turn + 2])
        pixels = cv2.imread(str(root / 'val' / image['file_name']))[..., ::-1]
        tiles.append(
            _render_tile(
                pixels,
                objects[image['id']],
                target=targets[expression['id']] if expression else None,
                paragraphs=[
                    captions[image['id']][0]['caption'],
                    f'-> {expression["caption"]}' if expression else '-> (no expression)',
                    f'{question.removeprefix("<image>").strip()} {answer}',
                ],
            )
        )
    return _join_tiles(tiles)


def _group(entries: list[dict], key: str) -> dict[int, list[dict]]:
    groups = defaultdict(list)
    for entry in entries:
        groups[entry[key]].append(entry)
    return groups


def _join_tiles(tiles: list[np.ndarray]) -> np.ndarray:
    columns = min(COLUMNS, len(tiles))
    tiles += [np.full_like(tiles[0], 255) for _ in range(-len(tiles) % columns)]
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)


def _render_tile(pixels: np.ndarray, objects: list[dict], target: dict | None, paragraphs: list[str]) -> np.ndarray:
    tile = np.full((_TILE_HEIGHT, _TILE_WIDTH, 3), _PAPER, np.uint8)
    scale = _IMAGE_SIDE / pixels.shape[0]
    scene = cv2.resize(pixels, (_IMAGE_SIDE, _IMAGE_SIDE), interpolation=cv2.INTER_NEAREST)
    for obj in objects:
        is_target = target is not None and obj['bbox'] == target['bbox']
        _draw_object(scene, obj, scale, thickness=3 if is_target else 1)
    for obj in objects:  # after all boxes, which would cross the labels
        _draw_label(scene, obj, scale)
    tile[_MARGIN : _MARGIN + _IMAGE_SIDE, _MARGIN : _MARGIN + _IMAGE_SIDE] = scene
    y = _IMAGE_SIDE + _MARGIN
    for paragraph in paragraphs:
        for line in _wrap(paragraph, _IMAGE_SIDE):
            y += _LINE_HEIGHT
            cv2.putText(tile, line, (_MARGIN, y), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)
    return tile


def _draw_object(scene: np.ndarray, obj: dict, scale: float, thickness: int) -> None:
    x, y, w, h = (round(v * scale) for v in obj['bbox'])
    # White on black shows on any background.
    for color, extra in (((0, 0, 0), 2), ((255, 255, 255), 0)):
        cv2.rectangle(scene, (x, y), (x + w - 1, y + h - 1), color, thickness + extra)
    if isinstance(obj['segmentation'], list):
        for polygon in obj['segmentation']:
            points = np.round(np.reshape(polygon, (-1, 1, 2)) * scale).astype(np.int32)
            cv2.polylines(scene, [points], True, (0, 0, 0), 1, cv2.LINE_AA)


def _draw_label(scene: np.ndarray, obj: dict, scale: float) -> None:
    color, shape = obj['attributes']['color'], obj['attributes']['shape']
    text = f'{color} {shape}'
    (width, height), _ = cv2.getTextSize(text, _FONT, 0.4, 1)
    x, y, _, box_height = (round(v * scale) for v in obj['bbox'])
    x = max(0, min(x, _IMAGE_SIDE - width - 4))
    # Above the box, or below it at the upper border of the image.
    bottom = y - 1 if y >= height + 8 else min(y + box_height + height + 8, _IMAGE_SIDE)
    cv2.rectangle(scene, (x, bottom - height - 6), (x + width + 4, bottom), (0, 0, 0), -1)
    light = tuple((255 + channel) // 2 for channel in PALETTE[color])  # legible on black
    cv2.putText(scene, text, (x + 2, bottom - 4), _FONT, 0.4, light, 1, cv2.LINE_AA)


def _wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most ``width`` px."""
    lines = ['']
    for word in text.split():
        longer = f'{lines[-1]} {word}'.strip()
        if lines[-1] and cv2.getTextSize(longer, _FONT, _FONT_SCALE, 1)[0][0] > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
