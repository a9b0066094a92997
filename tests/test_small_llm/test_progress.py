"""The log of a warm-up, and warm-ups that are stopped and go on."""

import copy

import pytest
import torch

from tests.helpers.tiny import LORA, assemble_decoder, build_decoder, build_model, save_llama
from tests.test_small_llm.test_simulated_tokens_hook import _run, datasets, elsewhere  # noqa: F401 (fixtures)
from tests.test_small_llm.test_text_warmup_hook import _runner
from visionllm_mm.models import CausalLM, FormatLoss
from visionllm_mm.small_llm import FormatWarmupHook, SimulatedTokensWarmupHook, TextWarmupHook, progress
from visionllm_mm.small_llm.progress import WarmupProgress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [100.0]
    monkeypatch.setattr(progress, 'monotonic', lambda: now[0])
    return now


def _stop_behind(monkeypatch, step):
    """The warm-up is stopped behind a step, as by Ctrl-C."""
    after_step = WarmupProgress.after_step

    def stop(self, number, *args):
        after_step(self, number, *args)
        if number == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(WarmupProgress, 'after_step', stop)


def test_the_log_has_the_time_left_at_once_and_every_ten_seconds(clock):
    lines = []
    shown = WarmupProgress('warm-up', 200, lines.append)
    for step in range(1, 201):
        clock[0] += 30 if step == 1 else 2
        shown.note(loss=float(step), accuracy=0.5)
        shown.after_step(step, {}, None)
    assert lines[0] == 'warm-up [2/200]  eta: 0:06:36  loss: 1.500  accuracy: 0.500'
    assert lines[1] == 'warm-up [7/200]  eta: 0:06:26  loss: 5.000  accuracy: 0.500'
    assert lines[-1] == 'warm-up [200/200]  loss: 199.000  accuracy: 0.500' and len(lines) == 41


@pytest.mark.parametrize('count', [1, 2, 3])
def test_the_last_step_is_always_logged(clock, count):
    lines = []
    shown = WarmupProgress('warm-up', count, lines.append)
    for step in range(1, count + 1):
        shown.note(loss=1.0)
        shown.after_step(step, {}, None)
    assert lines[-1] == f'warm-up [{count}/{count}]  loss: 1.000' and len(lines) == (2 if count == 3 else 1)


@pytest.mark.parametrize('stopped_behind', [1, 4])
def test_a_stopped_text_warm_up_gives_the_same_weights(tmp_path, monkeypatch, stopped_behind):
    save_llama(tmp_path / 'llm')

    def warm_up(folder):
        torch.manual_seed(0)
        lora = LORA | dict(lora_dropout=0.2)  # whose random numbers are PyTorch's own
        decoder = assemble_decoder(CausalLM(path=str(tmp_path / 'llm'), lora=lora)).train()
        runner = _runner(decoder, logger=type('Logger', (), dict(info=lines.append)))
        hook = TextWarmupHook(num_iters=6, batch_size=2, cache_dir=str(tmp_path / folder), keep_seconds=0)
        hook.before_train(runner)
        return decoder.state_dict()

    lines = []
    expected = warm_up('whole')
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        _stop_behind(patch, stopped_behind)
        warm_up('stopped')
    assert [path.suffixes for path in (tmp_path / 'stopped').iterdir()] == [['.unfinished', '.pth']]
    lines.clear()
    found = warm_up('stopped')
    assert lines[1] == f'text-only warm-up goes on behind step {stopped_behind}'
    assert [path.suffixes for path in (tmp_path / 'stopped').iterdir()] == [['.pth']]
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize('hook', [SimulatedTokensWarmupHook, pytest.param(FormatWarmupHook, marks=pytest.mark.slow)])
def test_a_stopped_warm_up_on_data_gives_the_same_weights(datasets, monkeypatch, hook):  # noqa: F811
    for dataset in datasets:
        dataset['pipeline'].pop(0)  # without SeedBySample all random numbers are in one stream, as in the configs
        dataset['pipeline'].insert(-1, dict(type='ScrambleInstruction', max_points=2, prob=0.7))

    untrained = build_model().train()
    untrained.auxiliary['formats'] = FormatLoss()

    def warm_up(**kwargs):
        model = copy.deepcopy(untrained)
        _run(datasets, model, hook=hook, num_iters=5, keep_seconds=0, **kwargs)
        return model.state_dict()

    expected = warm_up(cache_dir='whole')
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        _stop_behind(patch, 3)
        warm_up(cache_dir='stopped')
    steps = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, 'step', lambda *args: steps.append(1) or step(*args))
    found = warm_up(cache_dir='stopped')
    assert len(steps) == 2
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_the_state_is_kept_from_time_to_time(tmp_path, clock):
    decoder = build_decoder()
    path = tmp_path / 'state.pth'
    kept = WarmupProgress('warm-up', 10, lambda line: None, path, keep_seconds=30)
    for step in (1, 2):
        kept.after_step(step, dict(modules=decoder), None)
    assert not path.exists()
    clock[0] += 31
    kept.after_step(3, dict(modules=decoder), None)
    assert WarmupProgress('warm-up', 10, lambda line: None, path).first_step == 3
    kept.after_step(4, dict(modules=decoder), None)
    assert WarmupProgress('warm-up', 10, lambda line: None, path).first_step == 3
