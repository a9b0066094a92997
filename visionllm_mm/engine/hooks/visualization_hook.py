"""Renders predictions in evaluations that go on after images that can't be loaded."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import mmcv
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.fileio import get
from mmengine.runner import Runner
from torch.utils.data import Dataset

from ...datasets.coco_classes import plain_datasets
from ...file_names import below_common_folder, picture_names


@HOOKS.register_module()
class TolerantVisualizationHook(DetVisualizationHook):
    """mmdet's DetVisualizationHook, which reads images again; samples that could not be loaded are left out.

    In ``test_out_dir`` pictures are named by the images' paths below the folder that all images of the data set share.
    A further sample of an image, such as another question about it, has its number behind the name.

    Args:
        args: see mmdet's DetVisualizationHook.
        kwargs: see mmdet's DetVisualizationHook.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._names: tuple[Dataset, dict[str, str]] | None = None
        self._drawn: set[Path] = set()

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[DetDataSample]
    ) -> None:
        loaded = [sample for sample in outputs if 'failure' not in sample]
        if loaded:
            super().after_val_iter(runner, batch_idx, data_batch, loaded)

    def before_test(self, runner: Runner) -> None:
        self._drawn.clear()

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[DetDataSample]
    ) -> None:
        if not self.draw:
            return
        for sample in outputs:
            if 'failure' in sample:
                continue
            self._test_index += 1
            path = sample.img_path
            image = mmcv.imfrombytes(get(path, backend_args=self.backend_args), channel_order='rgb')
            self._visualizer.add_datasample(
                Path(path).name if self.show else 'test_img',
                image,
                data_sample=sample,
                show=self.show,
                wait_time=self.wait_time,
                pred_score_thr=self.score_thr,
                out_file=self._out_file(runner, path) if self.test_out_dir else None,
                step=self._test_index,
            )

    def _out_file(self, runner: Runner, path: str) -> str:
        dataset = runner.test_loop.dataloader.dataset
        if self._names is None or self._names[0] is not dataset:
            paths = [part.get_data_info(i)['img_path'] for part in plain_datasets(dataset) for i in range(len(part))]
            self._names = dataset, dict(zip(paths, picture_names(below_common_folder(paths)), strict=True))
        whole = Path(runner.work_dir, runner.timestamp, self.test_out_dir, self._names[1][path])
        numbered = (whole.with_stem(f'{whole.stem}_{count}') for count in itertools.count(2))
        file = next(file for file in itertools.chain([whole], numbered) if file not in self._drawn)
        self._drawn.add(file)
        return str(file)
