"""A pipeline for evaluations that goes on when a sample can't be loaded."""

import traceback

import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import Compose

from .transforms import PackInstructionInputs

_SIZE = 32


class TolerantPipeline(Compose):
    """The pipeline of a data set; where a transform fails, it returns a sample with the key ``failure``.

    Such a sample has a small black image and the keys that PackInstructionInputs packs, as far as they are known. The
    loops give it an empty prediction and report the failure, see :class:`TolerantValLoop`.
    """

    def __init__(self, pipeline: Compose) -> None:
        super().__init__(pipeline.transforms)

    def __call__(self, data: dict) -> dict:
        try:
            packed = super().__call__(data)
            if packed is None:
                raise ValueError('a transform of the pipeline returned None')
        except Exception as error:  # files and annotations may cause any error
            frame = traceback.extract_tb(error.__traceback__)[-1]
            packed = self._pack(data, f'{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})')
        return packed

    @staticmethod
    def _pack(data: dict, failure: str) -> dict:
        known = {key: data[key] for key in PackInstructionInputs().meta_keys if key in data}
        shape = (data.get('height', _SIZE), data.get('width', _SIZE))
        known |= dict(ori_shape=shape, img_shape=(_SIZE, _SIZE), scale_factor=(1.0, 1.0), failure=failure)
        image = torch.zeros(3, _SIZE, _SIZE, dtype=torch.uint8)
        return dict(inputs=image, data_samples=DetDataSample(metainfo=known))
