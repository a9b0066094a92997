"""EfficientNet-Lite0, a backbone for CPUs."""

from mmdet.models.backbones import EfficientNet
from mmdet.registry import MODELS


@MODELS.register_module()
class EfficientNetLite(EfficientNet):
    """EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, and with ReLU6.

    Layers and channels: 0 the stem 32, 1: 16, 2: 24, 3: 40, 4: 112, 5: 320, 6: 1280; strides 2, 2, 4, 8, 16, 32, 32.
    ``tools/get_pretrained.py efficientnet-lite0`` gets weights of ImageNet, for images with mean 127 and standard
    deviation 128.

    Args:
        out_indices: layers whose outputs are returned; layers behind the last one are not built.
        frozen_stages: number of layers, from the stem on, that are not trained.
        kwargs: see mmdet's EfficientNet.
    """

    # (kernel size, channels, ratio of squeeze-and-excitation, stride, expansion, kind of block) as in EfficientNet.
    layer_settings = {
        'l': [
            [[kernel, channels, 0, stride, expansion, kind] for kernel, channels, _, stride, expansion, kind in layer]
            for layer in EfficientNet.layer_settings['b']
        ]
    }
    arch_settings = {'lite0': (1.0, 1.0, 224)}

    def __init__(self, out_indices: tuple[int, ...] = (3, 4, 5), frozen_stages: int = 0, **kwargs) -> None:
        settings = dict(arch='lite0', act_cfg=dict(type='ReLU6')) | kwargs
        super().__init__(out_indices=out_indices, frozen_stages=frozen_stages, **settings)
