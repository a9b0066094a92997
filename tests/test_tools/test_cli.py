"""tools/*.py as commands: help, mistyped paths, a run with checkpoints, several processes."""

import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mmengine.config import Config

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
# These answer before any heavy import.
QUICK = ('train', 'test', 'check_env', 'install_ops')

MODULE = '''
"""A model, a data set and a metric that are small enough to run a tool in a second."""
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch.utils.data import Dataset


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def forward(self, x, y, mode="tensor"):
        out = self.linear(x)
        if mode == "loss":
            return {"loss": (out - y).square().mean()}
        return list(out)


class Points(Dataset):
    metainfo = {}

    def __len__(self):
        return 8

    def __getitem__(self, index):
        x = torch.tensor([index / 8])
        return {"x": x, "y": 2 * x}


class Mean(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += [float(sample) for sample in data_samples]

    def compute_metrics(self, results):
        return {"mean": sum(results) / len(results)}
'''

CONFIG = """
import torch
from mmengine.dataset import DefaultSampler
import line_for_cli_tests as line

loader = dict(
    batch_size=4,
    collate_fn=dict(type="default_collate"),
    num_workers=0,
    dataset=dict(type=line.Points),
    sampler=dict(type=DefaultSampler, shuffle=False),
)
model = dict(type=line.Line)
train_dataloader = loader
val_dataloader = test_dataloader = loader
val_evaluator = test_evaluator = dict(type=line.Mean)
optim_wrapper = dict(optimizer=dict(type=torch.optim.SGD, lr=0.1))
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
val_cfg = test_cfg = dict()
randomness = dict(seed=0)
"""


@pytest.fixture
def tool(tmp_path):
    """Run a tool in an empty folder, with the small model of MODULE on the path."""
    (tmp_path / 'line_for_cli_tests.py').write_text(MODULE)
    (tmp_path / 'line.py').write_text(CONFIG)
    path = os.pathsep.join([str(TOOLS.parent), str(tmp_path)])
    env = {**os.environ, 'PYTHONPATH': path, 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'}

    def run(name, *arguments, launcher=(sys.executable,)):
        return subprocess.run(
            [*launcher, str(TOOLS / f'{name}.py'), *arguments],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.mark.parametrize('name', sorted(p.stem for p in TOOLS.glob('*.py') if p.stem[0] != '_'))
def test_help(tool, name):
    start = time.monotonic()
    result = tool(name, '-h')
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f'usage: {name}.py')
    if name in QUICK:
        # mim asks for -h before each run and refuses none that knows --gpus.
        assert time.monotonic() - start < 2 and '--gpus' not in result.stdout


@pytest.mark.parametrize(
    ('command', 'message'),
    [
        (('train', 'no.py'), 'train.py: config not found: no.py (relative to '),
        (('train', '/no.py'), 'train.py: config not found: /no.py\n'),
        (('train', 'line.py', '--resume', 'no.pth'), 'train.py: checkpoint not found: no.pth'),
        (('test', 'no.py', 'no.pth'), 'test.py: config not found: no.py'),
        (('test', 'line.py', 'no.pth'), 'test.py: checkpoint not found: no.pth'),
        (('test', 'line.py', 'line.py', '--out', 'x.json'), '--out has to end in .pkl'),
    ],
)
def test_bad_arguments_stop_with_one_line(tool, command, message):
    start = time.monotonic()
    result = tool(*command)
    assert result.returncode == 1
    assert message in result.stderr and result.stderr.count('\n') == 1
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ('options', 'setting'),
    [
        (('load_from=no.pth',), 'load_from=None'),
        pytest.param(
            ('model.backbone.init_cfg.checkpoint=no.pth',), 'model.backbone.init_cfg=None', marks=pytest.mark.slow
        ),
    ],
)
def test_missing_weights_stop_before_the_model_is_built(tool, options, setting):
    result = tool('train', 'line.py', '--cfg-options', *options)
    assert result.returncode == 1 and 'names weights that are missing: no.pth' in result.stderr
    assert f'--cfg-options {setting}' in result.stderr and 'Traceback' not in result.stderr


def test_deepspeed_starts_from_folders(tool):
    result = tool(
        'train',
        'line.py',
        '--cfg-options',
        'load_from=line.py',
        'runner_type=FlexibleRunner',
        'strategy.type=DeepSpeedStrategy',
    )
    assert result.returncode == 1 and 'model.init_cfg.checkpoint=line.py' in result.stderr
    assert 'reads only folders' in result.stderr and 'Traceback' not in result.stderr


@pytest.mark.slow
def test_options_that_are_none_are_named(tool):
    result = tool('train', 'line.py', '--cfg-options', 'lr', '=', '3')
    assert result.returncode == 1 and "takes KEY=VALUE without white space, got 'lr = 3'" in result.stderr
    assert 'Traceback' not in result.stderr


@pytest.mark.slow
def test_resume_without_a_checkpoint_starts_as_the_config_says(tool):
    result = tool('train', 'line.py', '--resume', '--cfg-options', 'load_from=no.pth')
    assert result.returncode == 1 and 'missing: no.pth' in result.stderr


def test_resume_needs_no_file_that_the_backbone_once_started_from(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    backbone = dict(type='ResNet', depth=18, init_cfg=dict(type='Pretrained', checkpoint='gone.pth'))
    cfg = Config(dict(model=dict(backbone=backbone)))
    runpy.run_path(str(TOOLS / 'train.py'))['resume'](cfg, 'epoch_1.pth')
    assert cfg.resume and cfg.load_from == 'epoch_1.pth' and cfg.model.backbone.init_cfg is None


@pytest.mark.slow
def test_train_resume_test(tool, tmp_path):
    trained = tool('train', 'line.py', '--cfg-options', 'train_cfg.max_epochs=1', '--resume')
    assert trained.returncode == 0, trained.stderr
    work_dir = tmp_path / 'work_dirs' / 'line'
    assert (work_dir / 'epoch_1.pth').is_file()
    resumed = tool('train', 'line.py', '--resume')
    assert resumed.returncode == 0, resumed.stderr
    assert 'resumed epoch: 1' in resumed.stdout + resumed.stderr
    assert (work_dir / 'epoch_2.pth').is_file()
    tested = tool('test', 'line.py', str(work_dir / 'epoch_2.pth'), '--work-dir', 'evaluated')
    assert tested.returncode == 0, tested.stderr
    assert 'mean: ' in tested.stdout + tested.stderr
    assert (tmp_path / 'evaluated').is_dir()


@pytest.mark.slow
def test_two_processes_on_the_cpu(tool, tmp_path):
    torchrun = (sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2')
    torchrun += ('--master-port', '29517')
    trained = tool('train', 'line.py', '--launcher', 'pytorch', launcher=torchrun)
    assert trained.returncode == 0, trained.stderr
    assert 'GPU number: 2' in trained.stdout + trained.stderr
    assert (tmp_path / 'work_dirs' / 'line' / 'epoch_2.pth').is_file()


@pytest.mark.slow
def test_drawing_needs_a_hook_to_draw_with(tool, tmp_path):
    (tmp_path / 'x.pth').touch()
    result = tool('test', 'line.py', 'x.pth', '--show-dir', 'drawn')
    assert result.returncode == 1 and 'default_hooks.visualization' in result.stderr
