"""Exports predictions: text, COCO data sets, LabelMe files, arrays for supervision."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from pycocotools import mask as coco_mask

from ..datasets.json_file import read_json
from ..file_names import below_common_folder, without_suffixes
from ..instructions import shorten


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


def to_coco(
    predictions: dict | Sequence[dict],
    score_thr: float = 0.0,
    categories: Sequence[str] | Mapping | str | Path | None = None,
) -> dict:
    """A COCO data set of predictions: ``images``, ``annotations`` with a ``score``, ``categories``, ``captions``.

    Categories with named points list the names; COCO's own tools read the result. Generated texts become captions of
    their images. Given the annotations of the same images, it has their category ids and image ids, so that
    ``COCO(ann_file).loadRes(to_coco(result, categories=ann_file)['annotations'])`` can be evaluated.

    Args:
        predictions: what a call of :class:`VisionLLMInferencer` returned, its predictions, or one of them.
        score_thr: objects with a lower score are left out.
        categories: names, which are numbered from 1; or COCO annotations, their categories alone, or the path of their
            JSON, whose ids are taken: images are found by the end of their path. None: all classes of the instructions,
            in their order, numbered from 1; images are named by their paths below the folder that they share.

    Raises:
        FileNotFoundError: when there is no file of that path.
        ValueError: when it is no JSON of COCO annotations, an object's class is not among ``categories``, or the
            annotations do not have exactly one image for each prediction.
    """
    predictions = _as_list(predictions)
    truth = _read_truth(categories)
    listed = truth['categories'] if truth else _number_categories(predictions, categories)
    ids = {category['name']: category['id'] for category in listed}
    known = truth.get('images') if truth else None
    images = _number_images(predictions) if known is None else _images_of(known, predictions)
    annotations, captions = [], []
    for image, prediction in zip(images, predictions, strict=True):
        if 'text' in prediction:
            captions.append(dict(id=len(captions) + 1, image_id=image['id'], caption=prediction['text']))
            continue
        for i, (name, score) in enumerate(zip(prediction['label_names'], prediction['scores'], strict=True)):
            if score < score_thr:
                continue
            if name not in ids:
                raise ValueError(
                    f'{shorten(name)} was found, and is none of the categories {shorten(list(ids))}: leave it out of '
                    'the classes, or put it into the categories'
                )
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image['id'],
                    category_id=ids[name],
                    score=score,
                    iscrowd=0,
                    **_geometry(prediction, i),
                )
            )
    unique = {image['id']: image for image in images}
    return dict(images=[*unique.values()], annotations=annotations, captions=captions, categories=listed)


def _as_list(predictions: dict | Sequence[dict]) -> Sequence[dict]:
    if isinstance(predictions, Mapping):
        return predictions['predictions'] if 'predictions' in predictions else [predictions]
    return predictions


def _read_truth(categories: Sequence[str] | Mapping | str | Path | None) -> Mapping | None:
    """The COCO annotations that are given, or None."""
    content, source = getattr(categories, 'dataset', categories), 'the COCO annotations'  # of pycocotools' COCO
    if isinstance(content, str | Path):
        content, source = read_json(content), str(content)
    elif isinstance(content, Sequence) and all(isinstance(category, Mapping) for category in content):
        content = dict(categories=content)
    elif not isinstance(content, Mapping):
        return None
    if not isinstance(content, Mapping) or 'categories' not in content:
        raise ValueError(f'{source}: an object with "categories" is expected, got {shorten(content)}')
    for name, keys in (('categories', {'id', 'name'}), ('images', {'id', 'file_name'})):
        for entry in content.get(name) or ():
            if not (isinstance(entry, Mapping) and keys <= entry.keys()):
                needed = ' and '.join(sorted(keys))
                raise ValueError(f'{source}: entries of "{name}" need {needed}, but one is {shorten(entry)}')
    return content


def _number_categories(predictions: Sequence[dict], names: Sequence[str] | None) -> list[dict]:
    """Categories numbered from 1: the names, or else the classes of all predictions in their order."""
    point_names = {}
    for prediction in predictions:
        classes = prediction.get('class_names', prediction.get('label_names', ()))
        point_names |= {name: point_names.get(name) or prediction.get('point_names') for name in classes}
    categories = []
    for name in dict.fromkeys(point_names if names is None else names):
        more = dict(keypoints=point_names[name], skeleton=[]) if point_names.get(name) else {}
        categories.append(dict(id=len(categories) + 1, name=name, **more))
    return categories


def _number_images(predictions: Sequence[dict]) -> list[dict]:
    """The image of each prediction, numbered from 1 and named by its path below the folder that all share."""
    paths = [prediction['img_path'] for prediction in predictions]
    known = list(dict.fromkeys(path for path in paths if path))
    names = dict(zip(known, below_common_folder(known), strict=True))
    images = {}
    for row, (path, prediction) in enumerate(zip(paths, predictions, strict=True)):
        number = len(images) + 1
        height, width = prediction['ori_shape']
        image = dict(id=number, file_name=names.get(path, f'{number:08d}.png'), height=height, width=width)
        images.setdefault(path or row, image)
    return [images[path or row] for row, path in enumerate(paths)]


def _images_of(known: Sequence[Mapping], predictions: Sequence[dict]) -> list[dict]:
    """The annotated image of each prediction: the one whose file name is the longest end of the prediction's path."""
    by_name = {tuple(PurePosixPath(str(image['file_name']).replace('\\', '/')).parts): image for image in known}
    images, path_of = [], {}
    for prediction in predictions:
        path = prediction['img_path']
        if not path:
            raise ValueError(
                'the prediction for an array has no file name, by which its annotations are found: ask about the file'
            )
        parts = PurePosixPath(path.replace('\\', '/')).parts
        ends = (by_name.get(parts[start:]) for start in range(len(parts)))
        image = next((image for image in ends if image), None)
        if image is None:
            raise ValueError(
                f'{path} is not among the {len(known)} images of the annotations: give those of the asked images'
            )
        other = path_of.setdefault(image['id'], path)
        if other != path:
            raise ValueError(
                f'{other} and {path} are both image {image["id"]} of the annotations, {image["file_name"]}: export '
                'them apart'
            )
        images.append(dict(image))
    return images


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


def to_labelme_files(predictions: dict | Sequence[dict], score_thr: float = 0.0) -> dict[str, dict]:
    """Contents of LabelMe files by their paths below the folder that the images share; no two are called the same.

    Saved below that folder, each lies beside its image.

    Args:
        predictions: what a call of :class:`VisionLLMInferencer` returned, or its predictions.
        score_thr: objects with a lower score are left out.

    Raises:
        ValueError: see :func:`to_labelme`.
    """
    predictions = _as_list(predictions)
    contents = [to_labelme(prediction, score_thr) for prediction in predictions]
    names = without_suffixes(below_common_folder([prediction['img_path'] for prediction in predictions]))
    return {f'{name}.json': content for name, content in zip(names, contents, strict=True)}


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
