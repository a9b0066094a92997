"""tools/publish_weights.py: small files that load as the checkpoint does."""

import hashlib
from functools import partial

import pytest
import torch
from mmengine.runner.checkpoint import load_checkpoint

from tests.helpers.command_line import run_tool
from tests.helpers.tiny import build_model

_run = partial(run_tool, 'publish_weights.py')


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'epoch_2.pth'
    torch.save(
        dict(
            meta=dict(
                dataset_meta=dict(classes=('star',)), cfg='model = dict()', hook_msgs=dict(last_ckpt='x'), epoch=2
            ),
            state_dict=build_model().state_dict(),
            optimizer=dict(state=torch.zeros(1000)),
            message_hub=dict(),
        ),
        path,
    )
    return path


def test_weights_fit_the_model_in_half_the_space(checkpoint, tmp_path):
    out = tmp_path / 'new/weights.pth'
    done = _run(checkpoint, out)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(out.read_bytes()).hexdigest() in done.stdout
    assert out.stat().st_size < 0.6 * checkpoint.stat().st_size
    saved = torch.load(out, weights_only=True)
    base = 'task_decoder.llm.base.'
    words, logits = (saved['state_dict'][base + name] for name in ('model.embed_tokens.weight', 'lm_head.weight'))
    assert words.data_ptr() == logits.data_ptr()
    assert set(saved) == {'meta', 'state_dict'}
    assert saved['meta'] == dict(dataset_meta=dict(classes=('star',)), cfg='model = dict()', epoch=2)
    model = build_model(seed=1)
    load_checkpoint(model, str(out), strict=True)
    expected = build_model().state_dict()
    for name, value in model.state_dict().items():
        assert value.dtype == expected[name].dtype
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-6)


def test_nothing_is_written_over(checkpoint, tmp_path):
    out = tmp_path / 'weights.pth'
    out.write_text('mine')
    done = _run(checkpoint, out)
    assert done.returncode and 'is there already' in done.stderr and out.read_text() == 'mine'
    assert _run(checkpoint, out, '--force').returncode == 0


@pytest.mark.parametrize(
    'content, message',
    [
        pytest.param(dict(meta={}), 'has no state_dict', marks=pytest.mark.slow),
        (dict(state_dict=dict(weight=torch.tensor([1e6]))), 'weight holds 1e+06'),
    ],
)
def test_what_can_not_be_published_is_said(content, message, tmp_path):
    torch.save(content, tmp_path / 'a.pth')
    done = _run(tmp_path / 'a.pth', tmp_path / 'b.pth')
    assert done.returncode and message in done.stderr and not (tmp_path / 'b.pth').exists()
    assert 'checkpoint not found' in _run(tmp_path / 'none.pth', tmp_path / 'b.pth').stderr
