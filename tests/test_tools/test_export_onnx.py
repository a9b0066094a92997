"""tools/export_onnx.py: the exported part gives what PyTorch gives, for other images and other instructions."""

import runpy
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from mmdet.apis import init_detector

from tests.helpers.tiny import ROOT

TOOL = ROOT / 'tools/export_onnx.py'
NAME = 'visionllm-tiny_miniscenes-multitask'


def test_parity(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    out = tmp_path / 'new/tokenizer.onnx'
    monkeypatch.setattr(sys, 'argv', [str(TOOL), '--out', str(out), '--size', '96', '128', '--words', '40'])
    tool = runpy.run_path(str(TOOL), run_name='__main__')
    model = init_detector(
        str(ROOT / f'configs/visionllm/{NAME}.py'), str(ROOT / f'checkpoints/{NAME}.pth'), device='cpu', cfg_options={}
    )
    plain = tool['as_module'](model, (96, 128))
    session = onnxruntime.InferenceSession(str(out))
    generator = torch.Generator().manual_seed(0)
    for text in ('Find every star in the picture', 'Where is the largest ring, and what is left of it?'):
        image = torch.randn(1, 3, 96, 128, generator=generator)
        with torch.no_grad():
            expected = plain(image, *model.text_encoder([text]))
        language, padding = tool['fill_up'](*model.text_encoder([text]), 40)
        found = session.run(
            list(tool['OUTPUTS']),
            dict(image=image.numpy(), language=language.numpy(), language_padding=padding.numpy()),
        )
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-4)
    with pytest.raises(ValueError, match=r'the instruction has \d+ tokens, more than the 3 of the exported model'):
        tool['fill_up'](*model.text_encoder(['Find every star in the picture']), 3)
