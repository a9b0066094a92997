"""The text-only warm-up and its cache."""

import logging
from types import SimpleNamespace

import pytest
import torch

from tests.helpers.tiny import LORA, assemble_decoder, build_decoder, save_llama
from visionllm_mm.models import CausalLM
from visionllm_mm.small_llm import TextWarmupHook
from visionllm_mm.small_llm.warmups import warm_up_on_text


def _runner(decoder, **kwargs):
    model = torch.nn.Module()
    model.task_decoder = decoder
    model.image_tokenizer = SimpleNamespace(num_tokens=4)
    state = dict(iter=0, _load_from=None, model=model, logger=logging.getLogger('test'))
    return SimpleNamespace(**(state | kwargs))


def test_result_is_cached_by_weights_and_settings(tmp_path):
    settings = dict(num_iters=2, batch_size=2, cache_dir=str(tmp_path))
    first, second = build_decoder(), build_decoder()
    TextWarmupHook(**settings).before_train(_runner(first))
    files = list(tmp_path.iterdir())
    assert len(files) == 1
    made = files[0].stat().st_mtime_ns
    TextWarmupHook(**settings).before_train(_runner(second))
    assert files[0].stat().st_mtime_ns == made and len(list(tmp_path.iterdir())) == 1
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert all(p.grad is None for p in first.parameters())
    TextWarmupHook(**(settings | dict(seed=1))).before_train(_runner(build_decoder()))
    TextWarmupHook(**settings).before_train(_runner(build_decoder(seed=5)))
    assert len(list(tmp_path.iterdir())) == 3


def test_a_frozen_llm_learns_by_its_adapters(tmp_path):
    save_llama(tmp_path / 'llm')
    settings = dict(num_iters=2, batch_size=2, cache_dir=str(tmp_path / 'cache'))
    first, second = (
        assemble_decoder(CausalLM(path=str(tmp_path / 'llm'), lora=LORA), class_words=True) for _ in range(2)
    )
    second.load_state_dict(first.state_dict())
    before = first.state_dict()['llm.base.model.layers.0.self_attn.q_proj.lora_B.default.weight'].clone()
    for decoder in (first, second):  # the second one reads the file of the first
        TextWarmupHook(**settings).before_train(_runner(decoder))
    assert len(list((tmp_path / 'cache').iterdir())) == 1
    learnt = [decoder.state_dict() for decoder in (first, second)]
    assert not torch.equal(learnt[0]['llm.base.model.layers.0.self_attn.q_proj.lora_B.default.weight'], before)
    for name, value in learnt[0].items():
        assert torch.equal(value, learnt[1][name]), name


@pytest.mark.parametrize('state', [dict(iter=5), dict(_load_from='weights.pth')])
def test_nothing_happens_to_weights_that_are_trained(tmp_path, state):
    TextWarmupHook(cache_dir=str(tmp_path)).before_train(_runner(build_decoder(), **state))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('names', 'files'),
    [
        (['image_tokenizer.level_embed', 'task_decoder.vocabulary_sizes'], 1),
        (['task_decoder.added_tokens.output_rows'], 0),
    ],
)
def test_weights_of_other_parts_alone_leave_it_on(tmp_path, names, files):
    hook = TextWarmupHook(num_iters=1, batch_size=2, cache_dir=str(tmp_path))
    runner = _runner(build_decoder(), _load_from='weights.pth')
    hook.after_load_checkpoint(runner, dict(state_dict=dict.fromkeys(names)))
    hook.before_train(runner)
    assert len(list(tmp_path.iterdir())) == files


@pytest.mark.slow
def test_warm_up_learns_to_look_names_up():
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    from tests.helpers.tiny import CONFIG

    init_default_scope('mmdet')
    torch.manual_seed(0)
    decoder = MODELS.build(Config.fromfile(CONFIG).model).task_decoder
    accuracy = warm_up_on_text(decoder, num_tokens=20, num_iters=400, batch_size=16, lr=1e-3, noise=0.5, seed=0)
    assert accuracy > 0.9
