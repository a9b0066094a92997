"""Planning on shapes alone: counts by hand, public sizes, and the real model."""

import contextlib

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.utils import get_installed_path
from torch import nn

from tests.helpers.tiny import CONFIG, ROOT, save_llama
from visionllm_mm.planning.measure import BESIDE_TENSORS, measure
from visionllm_mm.planning.meter import Meter
from visionllm_mm.planning.pace import Operations, seconds_of_step
from visionllm_mm.planning.plan import count_parameters, plan
from visionllm_mm.planning.report import comparison, flops_table, memory_table, parameters_table
from visionllm_mm.planning.shapes_only import ShapesOnly
from visionllm_mm.planning.workload import Workload, build_model, planned_model_config, samples

CONFIGS = ROOT / 'configs/visionllm'
WORK = Workload(batch=2, image_size=(64, 64), num_classes=4, objects=3)


@pytest.mark.parametrize('shapes_only', [True, False])
def test_operations_and_live_memory_of_two_layers(shapes_only):
    with ShapesOnly() if shapes_only else contextlib.nullcontext(), Meter() as meter:
        layers = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
        weights = 4 * (10 * 20 + 20 + 20 * 5 + 5)
        assert meter.live == weights
        x = torch.rand(7, 10)
        meter.reset_peak()
        with meter.phase('layers'):
            y = layers(x)
        # Input, hidden layer before and behind the activation, output; the first of the hidden ones is free again.
        assert meter.live == weights + 4 * 7 * (10 + 20 + 5)
        assert meter.peak == weights + 4 * 7 * (10 + 20 + max(20, 5))
        y.sum().backward()
        assert meter.flops['layers', 'forward'] == 2 * 7 * (10 * 20 + 20 * 5)
        # The input needs no gradient.
        assert meter.flops['layers', 'backward'] == 2 * 7 * (10 * 20 + 2 * 20 * 5)
        del y
        assert meter.live == 2 * weights + 4 * 7 * 10


@pytest.mark.parametrize('groups', [1, 4])
def test_operations_of_a_convolution(groups):
    with ShapesOnly(), Meter() as meter:
        layer = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=groups)
        x = torch.rand(2, 4, 16, 16, requires_grad=True)
        with meter.phase('convolution'):
            y = layer(x)
        y.sum().backward()
    assert y.shape == (2, 8, 8, 8)
    once = 2 * (2 * 8 * 8) * 8 * (4 // groups * 9)
    assert meter.flops == {('convolution', 'forward'): once, ('convolution', 'backward'): 2 * once}


def test_integers_are_real_and_floats_have_no_numbers():
    with ShapesOnly():
        sizes = torch.tensor([[2, 3], [1, 2]])
        assert sizes.prod(dim=1).tolist() == [6, 2]
        assert torch.rand(4, 5)[torch.tensor([1, 3])].shape == (2, 5)
        assert torch.full((3,), 7.0).sum().item() == 1.0  # numbers are not known


def test_planned_model_is_the_real_one_and_its_peak_that_of_a_real_step():
    cfg = Config.fromfile(CONFIG)
    planned = plan(cfg, WORK, compiled=False)
    with Meter() as meter:
        model = build_model(cfg).train()
        images = torch.rand(2, 3, 64, 64)
        meter.reset_peak()
        losses, _ = model.parse_losses(model.loss(images, samples(WORK, model)))
        losses.backward()
    assert planned['parameters'] == count_parameters(model)
    size = sum(4 * parameter.numel() for parameter in model.parameters())
    assert planned['memory']['optimizer'] == 2 * size
    assert planned['memory']['train_peak'] - 2 * size == pytest.approx(meter.peak, rel=0.15)
    saved = planned['checkpoint']
    assert saved['weights'] >= size and saved['optimizer'] == 2 * size
    for table in (parameters_table, flops_table, memory_table):
        assert len(table(planned).splitlines()) > 5


def test_a_model_whose_llm_reads_formats_can_be_planned():
    work = Workload(batch=1, image_size=(64, 64), num_classes=4, objects=2, num_points=8)
    planned = plan(Config.fromfile(CONFIGS / 'visionllm-tiny_miniscenes-multitask.py'), work)
    assert planned['flops']['LLM: formats']['forward'] > 0
    assert planned['flops']['LLM: formats']['inference'] == 0


def _millions(name: str) -> dict[str, float]:
    with ShapesOnly():
        counts = count_parameters(build_model(Config.fromfile(CONFIGS / name)))
    return {part: (row['trained'] + row['frozen']) / 1e6 for part, row in counts.items()}


def test_public_sizes_of_the_parts_of_r50():
    millions = _millions('visionllm_r50-bert-llama7b_stage1_coco.py')
    assert millions['backbone'] == pytest.approx(23.508, abs=1e-3)  # ResNet-50 without its classifier
    # BERT-Base has 109.48 with its pooler, 768 * 768 + 768, which is not built.
    assert millions['text encoder'] == pytest.approx(109.482 - 0.591, abs=1e-2)
    assert millions['LLM base'] == pytest.approx(6738.4, abs=0.1)
    assert millions['LLM adapters'] == pytest.approx(32 * 4 * 2 * 64 * 4096 / 1e6)


# mmdet's config has it.
@pytest.mark.filterwarnings('ignore:The arguments `dropout` in MultiheadAttention has been deprecated')
def test_public_sizes_of_deformable_detr_and_ours():
    path = get_installed_path('mmdet') + '/.mim/configs/deformable_detr/deformable-detr_r50_16xb2-50e_coco.py'
    with ShapesOnly():
        init_default_scope('mmdet')
        public = MODELS.build(Config.fromfile(path).model)
        tokenizer = build_model(Config.fromfile(CONFIGS / 'visionllm_r50-bert-llama7b_stage1_coco.py')).image_tokenizer

    def size(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert size(public) == pytest.approx(40e6, rel=0.01)  # of its README's table, 300 queries
    for part in ('encoder', 'decoder', 'reference_points_fc'):
        assert size(getattr(tokenizer, part)) == size(getattr(public, part))


def test_public_size_of_internimage_h():
    # 1.08 B in its paper's table 1.
    millions = _millions('visionllm_internimage-h-bert-llama7b_stage1_coco.py')
    assert millions['backbone'] == pytest.approx(1080, rel=0.05)


def test_paths_need_an_architecture():
    cfg = Config.fromfile(CONFIGS / 'visionllm_r50-bert-llama7b_stage1_coco.py')
    cfg.pop('planning')
    with pytest.raises(ValueError, match=r'planning = dict\(llm='):
        planned_model_config(cfg)
    cfg.model.llm.quantization = dict(load_in_4bit=True)
    with pytest.raises(ValueError, match='quantization'):
        planned_model_config(cfg)


def test_a_name_is_not_taken_for_another_model():
    cfg = Config.fromfile(CONFIGS / 'visionllm_r50-bert-llama7b_stage1_coco.py')
    cfg.model.llm.path = 'meta-llama/Llama-3.2-1B'
    with pytest.raises(ValueError, match="is about 'chavinlo/alpaca-native'.*set planning.llm.path=meta-llama"):
        planned_model_config(cfg)
    # 1.24 B on its model card.
    assert _millions('visionllm_r50-bert-llama32-1b_stage1_coco.py')['LLM base'] == pytest.approx(1236, abs=1)


def test_a_folder_says_what_it_holds(tmp_path):
    save_llama(tmp_path)
    cfg = Config.fromfile(CONFIGS / 'visionllm_r50-bert-llama7b_stage1_coco.py')
    assert planned_model_config(cfg)['llm']['config']['hidden_size'] == 4096
    cfg.model.llm.path = str(tmp_path)
    with ShapesOnly():
        model = build_model(cfg)
    assert model.task_decoder.llm.embed_dims == 32 and model.text_encoder.encoder.config.hidden_size == 768


@pytest.mark.parametrize('shapes_only', [True, False])
def test_equal_operations_are_timed_once(monkeypatch, shapes_only):
    with ShapesOnly() if shapes_only else contextlib.nullcontext():
        layers = nn.Sequential(nn.Linear(256, 256), nn.Linear(256, 256), nn.Embedding(5, 256))
        x, ids = torch.rand(512, 256), torch.tensor([[1, 4]])
        with Operations() as operations:
            layers[1](layers[0](x))
            layers[0](x[:64])
            layers[2](ids)
    products = {key: count for key, count in operations.counts.items() if key[0] is torch.ops.aten.addmm.default}
    assert sorted(products.values()) == [1, 2]
    assert operations.seconds() > 0
    # Two measurements of one operation differ, so the sum is taken of times that are given.
    monkeypatch.setattr(operations, 'time', lambda key, *_: 10.0 if key in products else 0.0)
    assert operations.seconds() == 30


@pytest.mark.slow
def test_a_real_step_in_a_process_of_its_own():
    cfg = Config.fromfile(CONFIG)
    planned = plan(cfg, WORK, compiled=False)
    planned['seconds'] = seconds_of_step(cfg, WORK)
    measured = planned['measured'] = measure(str(CONFIG), {}, WORK)
    assert measured['tracked'] == pytest.approx(planned['memory']['train_peak'], rel=0.15)
    assert measured['resident'] == pytest.approx(planned['memory']['train_peak'] + BESIDE_TENSORS, rel=0.15)
    # Another program beside the tests makes a step take three times as long; docs/planning.md has figures without one.
    assert 0.15 < planned['seconds'] / measured['seconds'] < 2.5
    assert len(comparison(planned).splitlines()) == 4


@pytest.mark.slow
def test_a_failed_measurement_says_why():
    with pytest.raises(RuntimeError, match='no_config.py'):
        measure('no_config.py', {}, WORK)
