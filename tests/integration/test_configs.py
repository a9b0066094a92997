"""Every config parses, and its model can be built."""

import pytest
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from transformers.utils import is_bitsandbytes_available

from tests.helpers.scenes import make_coco_folder
from tests.helpers.tiny import ROOT, save_bert, save_llama

CONFIGS = sorted(path for path in (ROOT / 'configs').glob('*/*.py') if path.parent.name != '_base_')
# It takes ten seconds, and what it is made of is built by others, too.
SLOW = 'visionllm_r18-minilm-smollm2_miniscenes-multitask'


@pytest.mark.parametrize(
    'path',
    [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem == SLOW else []) for path in CONFIGS],
)
def test_config_builds(path, tmp_path, monkeypatch):
    monkeypatch.setenv('DATA_ROOT', str(make_coco_folder(tmp_path / 'coco', 1, 1)))
    save_llama(tmp_path / 'llm')
    monkeypatch.setenv('LLM', str(tmp_path / 'llm'))
    save_bert(tmp_path / 'bert')
    monkeypatch.setenv('BERT', str(tmp_path / 'bert'))
    cfg = Config.fromfile(path)
    init_default_scope('mmdet')
    assert Config.fromstring(cfg.pretty_text, '.py').model == cfg.model
    if cfg.model.backbone.type == 'InternImage':  # the smallest instead of the largest
        cfg.model.backbone.arch = 'T'
        cfg.model.neck.in_channels = [128, 256, 512]
    if (cfg.model.get('llm') or {}).get('quantization') and not is_bitsandbytes_available():
        with pytest.raises(ImportError, match='needs bitsandbytes'):
            MODELS.build(cfg.model)
        cfg.model.llm.quantization = None
    assert sum(p.numel() for p in MODELS.build(cfg.model).parameters()) < 60e6


def test_environment_names_the_data(monkeypatch):
    monkeypatch.setenv('MINISCENES_ROOT', '/elsewhere')
    cfg = Config.fromfile(ROOT / 'configs/visionllm/visionllm-tiny_miniscenes-det.py')
    assert cfg.train_dataloader.dataset.data_root == '/elsewhere/'


def test_custom_config_without_data_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv('DATA_ROOT', str(tmp_path / 'none'))
    with pytest.raises(FileNotFoundError, match='none/train.json does not exist: DATA_ROOT'):
        Config.fromfile(ROOT / 'configs/visionllm/visionllm-tiny_custom-coco.py')
