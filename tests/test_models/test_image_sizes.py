"""Answers do not depend on the other images of a batch, whatever their sizes."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from PIL import Image

from tests.helpers.tiny import ROOT
from visionllm_mm.apis import VisionLLMInferencer
from visionllm_mm.miniscenes.examples import make_example
from visionllm_mm.models.image_sizes import FeaturesBySize
from visionllm_mm.structures import ImageTokens

SIZES = ((128, 128), (200, 64), (80, 300), (128, 96), (97, 131), (211, 150), (200, 64))  # (width, height), px
NAMES = ['star', 'ring', 'circle', 'triangle']
TASKS = {
    'detect': dict(names=NAMES),
    'segment': dict(names=NAMES, num_points=24),
    'keypoints': dict(names=NAMES, point_names=['top', 'center', 'bottom']),
    'ground': dict(expression='the red star'),
    'caption': {},
    'answer': dict(question='How many objects are there?'),
}


@pytest.fixture(scope='module')
def inferencer():
    path = ROOT / 'configs/visionllm/visionllm-tiny_miniscenes-multitask.py'
    weights = ROOT / 'checkpoints/visionllm-tiny_miniscenes-multitask.pth'
    return VisionLLMInferencer(Config.fromfile(path), str(weights), device='cpu', show_progress=False)


@pytest.fixture(scope='module')
def images():
    scenes = [make_example(seed=3, split='val', index=i, size=128).image for i in range(len(SIZES))]
    return [np.array(Image.fromarray(scene).resize(size)) for scene, size in zip(scenes, SIZES, strict=True)]


def _numbers(answer, key):
    return np.array(answer.get(key, ()), dtype=float)


@pytest.mark.parametrize('task', TASKS)
def test_answers_are_those_of_the_image_alone(inferencer, images, task):
    ask, arguments = getattr(inferencer, task), tuple(TASKS[task].values())
    together = ask(images, *arguments, batch_size=len(images))['predictions']
    for image, size, answer in zip(images, SIZES, together, strict=True):
        alone = ask(image, *arguments)['predictions'][0]
        assert answer.get('text') == alone.get('text'), size
        assert answer.get('label_names') == alone.get('label_names'), size
        for key, tolerance in dict(scores=1e-5, bboxes=1e-3, polygons=1e-3, keypoints=1e-3).items():  # boxes in px
            np.testing.assert_allclose(
                _numbers(answer, key), _numbers(alone, key), atol=tolerance, rtol=1e-5, err_msg=f'{key} of {size}'
            )


def _mean_and_size(images):
    """Two levels (G, 2, h, w), each with the mean of the image and its height."""
    mean = images.mean(dim=(1, 2, 3))
    height = torch.full_like(mean, images.shape[2])
    level = torch.stack([mean, height], dim=1)[..., None, None]
    return level, level.expand(-1, -1, *images.shape[-2:])


def _extract(sizes):
    batch, samples = torch.full((len(sizes), 3, 8, 8), -100.0), []
    for i, (height, width) in enumerate(sizes):
        batch[i, :, :height, :width] = i
        samples.append(DetDataSample(metainfo=dict(pad_shape=(height, width))))
    return FeaturesBySize.extract(_mean_and_size, batch, samples), samples


def _tokenize(levels, numbers):
    first = levels[0].flatten(1)  # (G, 2)
    assert first[:, 0].tolist() == numbers
    return ImageTokens(first[None, :, None], first[None, :, None], first[None, :, :1])


def test_backbone_sees_no_padding_and_images_stay_in_order():
    features, samples = _extract([(4, 8), (8, 8), (4, 8), (2, 3)])
    assert sorted(rows for rows, _ in features) == [[0, 2], [1], [3]]
    assert [sample.batch_input_shape for sample in samples] == [(4, 8), (8, 8), (4, 8), (2, 3)]
    tokens = features.tokenize(_tokenize, [0.0, 1.0, 2.0, 3.0])
    assert tokens.embeddings[0, :, 0].tolist() == [[0, 4], [1, 8], [2, 4], [3, 2]]
    assert tokens.sizes_norm is None


def test_some_of_the_images_are_numbered_anew():
    features = _extract([(4, 8), (8, 8), (4, 8), (2, 3)])[0].of([3, 2])
    assert features.tokenize(_tokenize, [3.0, 2.0]).embeddings[0, :, 0].tolist() == [[3, 2], [2, 4]]
    assert [rows for rows, _ in features.of([1])] == [[0]]


def test_images_of_one_size_run_at_once():
    batches = []
    samples = [DetDataSample(metainfo=dict(pad_shape=(8, 8))) for _ in range(3)]
    images = torch.zeros(3, 3, 8, 8)
    FeaturesBySize.extract(lambda batch: batches.append(batch) or (batch,), images, samples)
    assert len(batches) == 1 and batches[0].data_ptr() == images.data_ptr()
