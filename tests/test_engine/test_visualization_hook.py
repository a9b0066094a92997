"""Pictures of a test are named by their paths, and none overwrites another."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from visionllm_mm.engine import TolerantVisualizationHook
from visionllm_mm.visualization import InstructionVisualizer


class _Data:
    """A data set of paths alone."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def get_data_info(self, index):
        return dict(img_path=self.paths[index])


@pytest.fixture
def test(tmp_path):
    """Tests data sets one after the other, and returns the names of the pictures of each."""
    visualizer = InstructionVisualizer.get_instance(f'hook_{tmp_path.name}', vis_backends=[])
    visualizer.dataset_meta = dict(classes=('star',), palette=[(255, 0, 0)])
    hook = TolerantVisualizationHook(draw=True, test_out_dir=str(tmp_path / 'shown'))

    def run(*paths, failing=()) -> list[str]:
        samples = []
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / path), np.zeros((20, 20, 3), np.uint8))
            sample = DetDataSample(metainfo=dict(img_path=str(tmp_path / path)))
            sample.pred_instances = InstanceData(bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0))
            if path in failing:
                sample.set_metainfo(dict(failure='no picture'))
            samples.append(sample)
        data = _Data([sample.img_path for sample in samples])
        loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=SimpleNamespace(datasets=[data])))
        runner = SimpleNamespace(test_loop=loop, work_dir=str(tmp_path), timestamp='now')
        hook.before_test(runner)
        for i, sample in enumerate(samples):
            hook.after_test_iter(runner, i, {}, [sample])
        return sorted(path.relative_to(tmp_path / 'shown').as_posix() for path in (tmp_path / 'shown').rglob('*.png'))

    return run


def test_folders_are_kept_where_pictures_lie_in_several(test):
    assert test('sub0/1.png', 'sub1/1.png', 'sub1/2.png') == ['sub0/1.png', 'sub1/1.png', 'sub1/2.png']


def test_those_of_one_folder_are_named_as_the_files(test):
    assert test('val/1.png', 'val/2.png', failing=['val/2.png']) == ['1.png']
    assert test('val/1.png') == ['1.png'], 'a second test writes the same files'


def test_several_samples_of_an_image_are_numbered(test):
    assert test('1.png', '1.png', '1_2.png', '1.png') == ['1.png', '1_2.png', '1_2_2.png', '1_3.png']
