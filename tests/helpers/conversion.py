"""What the tests of tools/convert_weights.py share: configs, detectors and reading what the tool wrote."""

import warnings
from pathlib import Path

import torch
from mmdet.apis import init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.helpers.tiny import ROOT, model_config

SMALL = dict(num_tokens=6)
QUERY_POSITION = {'image_tokenizer.query_position.weight', 'image_tokenizer.query_position.bias'}


def write_config(folder: Path, tokenizer=SMALL, **parts) -> Path:
    cfg = model_config()
    cfg.model.image_tokenizer.update(tokenizer)
    if not cfg.model.image_tokenizer.as_two_stage:
        cfg.model.auxiliary = dict(proposals=None, denoising=None)
        for name in ('loss_size', 'loss_iou'):
            cfg.model.criterion.pop(name)
    for name, value in parts.items():
        cfg.model[name] = value
    cfg.dump(folder / 'tiny.py')
    return folder / 'tiny.py'


def random_detector(seed=0, **changes):
    """A DeformableDETR none of whose weights is as it began."""
    init_default_scope('mmdet')
    cfg = Config.fromfile(ROOT / 'configs/_base_/models/deformable-detr_r18.py').model
    cfg.backbone.base_channels, cfg.neck.in_channels = 8, [16, 32, 64]
    torch.manual_seed(seed)
    detector = MODELS.build(cfg | dict(num_queries=6) | changes).eval()
    detector.init_weights()
    embed = detector.get_proposal_pos_embed  # mmdet's two stages take a width of 256 for granted
    detector.get_proposal_pos_embed = lambda proposals: embed(proposals, num_pos_feats=64)
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, value in detector.named_buffers():
            if name.endswith('running_mean'):
                value.normal_(std=0.1)
    return detector


def save_detector(detector, folder: Path) -> Path:
    torch.save(dict(meta=dict(epoch=1), state_dict=detector.state_dict()), folder / 'detector.pth')
    return folder / 'detector.pth'


def load_converted(config: Path, folder: Path):
    # mmdet warns that converted weights name no classes, and sets the filters of warnings for all that follows.
    with warnings.catch_warnings(record=True):
        return init_detector(str(config), str(folder / 'out/start.pth'), device='cpu')


def new_tensors(report: dict, part: str) -> set[str]:
    return {name for name, entry in report['tensors'].items() if (entry['part'], entry['status']) == (part, 'new')}


def assert_near(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
