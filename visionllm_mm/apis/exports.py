"""Exports predictions: text, COCO data sets, LabelMe files, arrays for supervision."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask


def to_text(prediction: dict, score_thr: float = 0.0) -> str:
    """The prediction as the LLM generated it: its text, or a line per object with name, score and tokens.

    Args:
        prediction: a prediction of :class:`VisionLLMInferencer`.
        score_thr: objects with a lower score are left out.
    """
    if 'text' in prediction:
        return prediction['text']
    found = zip(prediction['label_names'], prediction['scores'], prediction['tokens'], strict=True)
    lines = [f'{name}, {score:.2f}:  {tokens}' for name, score, tokens in found if score >= score_thr]
    return '\n'.join(lines) or f'nothing with a score of {score_thr:g} or more'


def to_coco(predictions: Sequence[dict], score_thr: float = 0.0) -> dict:
    """A COCO data set of predictions: ``images``, ``annotations`` with a ``score``, ``categories``, ``captions``.

    Categories are numbered from 1 in the order in which they occur, and those with named points list the names; COCO's
    own tools read the result. Generated texts become captions of their images.

    Args:
        predictions: predictions of :class:`VisionLLMInferencer`.
        score_thr: objects with a lower score are left out.
    """
    images, annotations, captions, categories = [], [], [], {}
    for image_id, prediction in enumerate(predictions, start=1):
        height, width = prediction['ori_shape']
        name = Path(prediction['img_path']).name if prediction['img_path'] else f'{image_id:08d}.png'
        images.append(dict(id=image_id, file_name=name, height=height, width=width))
        if 'text' in prediction:
            captions.append(dict(id=len(captions) + 1, image_id=image_id, caption=prediction['text']))
            continue
        for i, score in enumerate(prediction['scores']):
            if score < score_thr:
                continue
            name = prediction['label_names'][i]
            category = categories.setdefault(name, dict(id=len(categories) + 1, name=name))
            if 'point_names' in prediction:
                category.update(keypoints=prediction['point_names'], skeleton=[])
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=category['id'],
                    score=score,
                    iscrowd=0,
                    **_geometry(prediction, i),
                )
            )
    return dict(images=images, annotations=annotations, captions=captions, categories=list(categories.values()))


def _geometry(prediction: dict, i: int) -> dict:
    left, top, right, bottom = prediction['bboxes'][i]
    found = dict(bbox=[left, top, right - left, bottom - top], area=(right - left) * (bottom - top))
    if 'polygons' in prediction:
        found['segmentation'] = [np.ravel(prediction['polygons'][i]).tolist()]
        found['area'] = float(coco_mask.area(prediction['masks'][i]))
    if 'keypoints' in prediction:
        points = prediction['keypoints'][i]
        found |= dict(keypoints=[value for point in points for value in (*point, 2)], num_keypoints=len(points))
    return found


def to_labelme(prediction: dict, score_thr: float = 0.0) -> dict:
    """The content of a LabelMe file beside its image: a polygon, or else a rectangle, per object; points have names.

    Args:
        prediction: a prediction of :class:`VisionLLMInferencer`, for an image with a path.
        score_thr: objects with a lower score are left out.

    Raises:
        ValueError: for generated text, which LabelMe files cannot hold, and images without a path.
    """
    if 'text' in prediction or not prediction['img_path']:
        raise ValueError(
            'LabelMe files hold shapes on an image file: this prediction '
            f'{"is text" if "text" in prediction else "is of an array"}'
        )
    height, width = prediction['ori_shape']
    shapes = []
    for i, (name, score) in enumerate(zip(prediction['label_names'], prediction['scores'], strict=True)):
        if score < score_thr:
            continue
        left, top, right, bottom = prediction['bboxes'][i]
        vertices = prediction['polygons'][i] if 'polygons' in prediction else [[left, top], [right, bottom]]
        shapes.append(_shape(name, 'polygon' if 'polygons' in prediction else 'rectangle', vertices, i, score))
        if 'keypoints' in prediction:
            points = zip(prediction['point_names'], prediction['keypoints'][i], strict=True)
            shapes += [_shape(f'{name} {part}', 'point', [point], i, score) for part, point in points]
    return dict(
        version='5.5.0',
        flags={},
        shapes=shapes,
        imagePath=Path(prediction['img_path']).name,
        imageData=None,
        imageHeight=height,
        imageWidth=width,
    )


def _shape(label: str, kind: str, points: list[list[float]], group: int, score: float) -> dict:
    return dict(label=label, shape_type=kind, points=points, group_id=group, description=f'score {score:.3f}', flags={})


def to_detections(prediction: dict) -> dict:
    """Keyword arguments of ``supervision.Detections``: xyxy, confidence, class_id, data and, for polygons, mask.

    Args:
        prediction: a prediction of :class:`VisionLLMInferencer`, with boxes.

    Raises:
        ValueError: for generated text.
    """
    if 'text' in prediction:
        raise ValueError(f'an answer in text has no boxes: {prediction["text"]!r}')
    found = dict(
        xyxy=np.array(prediction['bboxes'], dtype=np.float32).reshape(-1, 4),
        confidence=np.array(prediction['scores'], dtype=np.float32),
        class_id=np.array(prediction['labels'], dtype=int),
        data=dict(class_name=np.array(prediction['label_names'], dtype=str)),
    )
    if prediction.get('masks'):
        found['mask'] = coco_mask.decode(prediction['masks']).transpose(2, 0, 1).astype(bool)
    return found
