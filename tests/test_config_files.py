"""Config files: environment variables, and settings of a base that are changed in one place."""

import pytest
from mmengine.config import Config

from tests.helpers.tiny import ROOT
from visionllm_mm.config_files import from_environment, read_config

CONFIGS = ROOT / 'configs/visionllm'
DETECTION = CONFIGS / 'visionllm-tiny_miniscenes-det.py'
READS_FOLDER = """_base_ = []

from visionllm_mm.config_files import from_environment

data_root = from_environment('SOME_ROOT', 'data/some') + '/'
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file=data_root + 'a.json'))
"""
BASE = """_base_ = []
size = (64, 64)
count = 3
names = ('star', 'ring')
numbers = dict(high=8, low=2)
steps = [dict(type='Resize', scale=size), dict(type='Ask', numbers=numbers)]
model = dict(count=count, width=2 * count, names=len(names), numbers=numbers)
train_dataloader = dict(steps=steps)
"""
ASK = dict(type='Ask', numbers=dict(high=8, low=2))


@pytest.fixture
def write(tmp_path):
    (tmp_path / 'base.py').write_text(BASE)

    def write(text, name='child.py', base='base.py'):
        (tmp_path / name).write_text(f"_base_ = ['{base}']\n{text}\n")
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    'folder',
    [
        "o'neil",
        'say "hi"',
        '\'both\' "kinds"',
        r'a\Users',
        r'x\1',
        r'x\g<0>',
        r'a\b\n\x',
        'ends\\',
        '{braces}',
        '{{double}}',
        '%s {0}',
        "x' + 'y",
        'a # b',
        'two words',
        'line\nbreak',
        'Größe/星/🌟',
        '$HOME',
        'a~b',
        '\udcff',
    ],
)
def test_values_of_variables_stay_as_they_are(tmp_path, monkeypatch, folder):
    """Also in the saved config, which is read without the variable."""
    (tmp_path / 'config.py').write_text(READS_FOLDER)
    monkeypatch.setenv('SOME_ROOT', folder)
    cfg = read_config(tmp_path / 'config.py')
    assert cfg.data_root == f'{folder}/' and cfg.train_dataloader.dataset.ann_file == f'{folder}/a.json'
    cfg.dump(tmp_path / 'saved.py')
    monkeypatch.delenv('SOME_ROOT')
    for saved in (Config.fromfile(tmp_path / 'saved.py'), read_config(tmp_path / 'saved.py')):
        assert saved.to_dict() == cfg.to_dict()


@pytest.mark.parametrize(
    'value, read', [('~/data', '/home/me/data'), ('~', '/home/me'), (' D \n', 'D'), ('\tD', 'D'), ('D/', 'D/')]
)
def test_homes_are_expanded_and_blanks_at_the_ends_left_out(monkeypatch, value, read):
    monkeypatch.setenv('HOME', '/home/me')
    monkeypatch.setenv('SOME_ROOT', value)
    assert from_environment('SOME_ROOT', 'x') == read


def test_a_variable_that_is_not_set_has_its_default(monkeypatch):
    monkeypatch.delenv('SOME_ROOT', raising=False)
    assert from_environment('SOME_ROOT', '~/as it is') == '~/as it is'


@pytest.mark.parametrize('value', ['', ' ', '\n'])
def test_empty_variables_are_refused(monkeypatch, value):
    monkeypatch.setenv('SOME_ROOT', value)
    with pytest.raises(
        ValueError, match='SOME_ROOT is set, but empty: give it a path .* or `unset SOME_ROOT` to take x'
    ):
        from_environment('SOME_ROOT', 'x')


@pytest.mark.parametrize('value', ['{{$HOME:x}}', "{{'$HOME:x'}}", '{{ _base_.model }}', '{{ fileDirname }}'])
def test_what_a_saved_config_would_lose_is_refused(monkeypatch, value):
    monkeypatch.setenv('SOME_ROOT', value)
    with pytest.raises(ValueError, match='SOME_ROOT is .*: rename the folder'):
        from_environment('SOME_ROOT', 'x')


@pytest.mark.parametrize(
    'name, variable, keys',
    [
        ('visionllm-tiny_miniscenes-det', 'MINISCENES_ROOT', ['val_evaluator.ann_file']),
        ('visionllm-tiny_miniscenes-grounding', 'MINISCENES_ROOT', ['train_dataloader.dataset.data_root']),
        ('visionllm-tiny_miniscenes-stage1', 'MINISCENES_ROOT', ['train_dataloader.dataset.datasets.2.data_root']),
        ('visionllm-tiny_miniscenes-multitask', 'MINISCENES_ROOT', ['default_hooks.warmup_all.datasets.0.data_root']),
        ('visionllm-tiny_pretrained-llm_miniscenes-det', 'LLM', ['model.llm.path']),
        ('visionllm_r18-minilm-smollm2_miniscenes-stage1', 'BERT', ['model.text_encoder.path']),
        ('visionllm_r50-bert-llama7b_stage1_coco', 'START', ['load_from']),
        ('visionllm_r50-bert-llama7b_stage1_coco', 'BERT', ['model.text_encoder.path']),
        ('visionllm_r50-bert-llama32-1b_stage1_coco', 'LLM', ['model.llm.path']),
        ('visionllm_r50-bert-llama7b_stage1_lvis', 'COCO_ROOT', ['val_evaluator.ann_file']),
        ('visionllm_r50-bert-llama7b_stage2_multitask', 'COCO_ROOT', ['train_dataloader.dataset.datasets.0.data_root']),
        ('visionllm_internimage-h-bert-llama7b_stage1_coco', 'INTERNIMAGE_H', ['model.backbone.init_cfg.checkpoint']),
    ],
)  # fmt: skip
def test_configs_take_any_path(monkeypatch, name, variable, keys):
    monkeypatch.setenv(variable, " o'neil\\1 ")
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    for key in keys:
        part = cfg
        for step in key.split('.'):
            part = part[int(step) if step.isdigit() else step]
        assert part.startswith("o'neil\\1")


def test_no_config_lets_mmengine_replace_a_variable():
    found = [path for path in ROOT.glob('configs/**/*.py') if '{{$' in path.read_text()]
    assert found == []


@pytest.mark.parametrize('value', ["o'neil", r'a\b', 'say "hi"', '', ' ', 'line\nbreak', '{braces}'])
def test_variables_that_mmengine_would_change_are_named(write, monkeypatch, value):
    monkeypatch.setenv('SOME_ROOT', value)
    for config in (write("root = '{{$SOME_ROOT:x}}'"), write('', 'grandchild.py', 'child.py')):
        with pytest.raises(ValueError, match='the environment variable SOME_ROOT is .*write from_environment'):
            read_config(config)
    monkeypatch.setenv('SOME_ROOT', '/a path')
    assert read_config(config).root == '/a path'


@pytest.mark.parametrize('by_option', [False, True])
@pytest.mark.parametrize(
    'name, value, expected',
    [
        ('size', (96, 96), {'train_dataloader': dict(steps=[dict(type='Resize', scale=(96, 96)), ASK])}),
        ('count', 5, {'model': dict(count=5, width=10, names=2, numbers=dict(high=8, low=2))}),
        ('names', ('a', 'b', 'c'), {'model': dict(count=3, width=6, names=3, numbers=dict(high=8, low=2))}),
        ('numbers', dict(low=1), {'model': dict(count=3, width=6, names=2, numbers=dict(high=8, low=1))}),
    ],
)  # fmt: skip
def test_a_setting_of_a_base_is_changed_in_one_place(write, by_option, name, value, expected):
    if by_option:
        cfg = read_config(write(''), {name: value})
    else:
        cfg = read_config(write(f'{name} = {value!r}'))
    for key, part in expected.items():
        assert cfg.to_dict()[key] == part
    # Two levels above as well.
    write('', 'middle.py')
    assert read_config(write(f'{name} = {value!r}', 'child.py', 'middle.py')).model == cfg.model


def test_parts_of_a_setting_can_be_changed(write):
    cfg = read_config(write(''), {'numbers.low': 1, 'steps.0.type': 'Pad', 'model.new': 7, 'unheard_of': 1})
    assert cfg.model.numbers == dict(high=8, low=1) and cfg.train_dataloader.steps[0].type == 'Pad'
    assert cfg.model.new == 7 and cfg.unheard_of == 1


def test_the_last_file_that_sets_it_counts(write):
    write('count = 4', 'middle.py')
    assert read_config(write('count = 5', 'child.py', 'middle.py')).model.count == 5
    assert read_config(write('', 'child.py', 'middle.py')).model.count == 4
    assert read_config(write('count = 5', 'child.py', 'middle.py'), dict(count=6)).model.count == 6


def test_a_file_that_uses_its_own_value_is_read_as_mmengine_does(write):
    path = write('size = (96, 96)\nmodel = dict(size=size)\nval_dataloader = dict(scale={{_base_.size}})')
    cfg = read_config(path)
    assert cfg.to_dict() == Config.fromfile(path).to_dict() and cfg.train_dataloader.steps[0].scale == (64, 64)


def test_settings_that_are_computed_count_as_well(write):
    assert read_config(write('half = 4\ncount = 2 * half')).model.count == 8
    assert read_config(write('count = {{_base_.count}}')).model.count == 3


def test_folders_of_what_a_base_reads_can_be_changed(write, tmp_path):
    text = "_base_ = []\nroot = 'nowhere/'\nmodel = dict(text=open(root + 'a.txt').read())\n"
    (tmp_path / 'reads.py').write_text(text)
    (tmp_path / 'a.txt').write_text('found')
    assert read_config(write(f"root = '{tmp_path}/'", 'child.py', 'reads.py')).model.text == 'found'
    assert read_config(tmp_path / 'reads.py', dict(root=f'{tmp_path}/')).model.text == 'found'


@pytest.mark.parametrize(
    'text, options, message',
    [
        ('count = 5\nmodel = dict(count=3, width=6)', {}, r'count = 5 changes nothing: set model.count instead'),
        ('model = dict(count=3, width=6)', dict(count=5), r'count = 5 changes nothing: set model.count instead'),
        (
            'size = (96, 96)\ntrain_dataloader = dict(steps=[dict(scale=(64, 64))])\nsteps = []',
            {},
            r'size = \(96, 96\) changes nothing: set train_dataloader.steps.0.scale instead',
        ),
    ],
)
def test_settings_without_effect_are_refused(write, text, options, message):
    with pytest.raises(ValueError, match=message):
        read_config(write(text), options)


def test_settings_of_a_saved_config_are_refused_where_their_value_is_written_out(write, tmp_path):
    read_config(write('')).dump(tmp_path / 'saved.py')
    child = write('count = 5', 'of_saved.py', 'saved.py')
    for path, options in ((tmp_path / 'saved.py', dict(count=5)), (child, {})):
        with pytest.raises(ValueError, match='count = 5 changes nothing: set model.count instead'):
            read_config(path, options)
    with pytest.raises(ValueError, match=r'size = .* set train_dataloader.steps.0.scale instead'):
        read_config(tmp_path / 'saved.py', dict(size=(96, 96)))
    assert read_config(tmp_path / 'saved.py', {'model.count': 5, 'count': 3}).model.count == 5


def test_configs_of_the_project_are_read_as_mmengine_does():
    for path in sorted(CONFIGS.glob('*miniscenes*.py')):
        assert read_config(path).to_dict() == Config.fromfile(path).to_dict(), path.name


def test_image_size_width_and_tokens_of_the_small_model():
    cfg = read_config(DETECTION, dict(image_scale=(160, 160), embed_dims=192, num_tokens=40))
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    steps = [step for loader in loaders for step in loader.dataset.pipeline if step.type == 'Resize']
    assert [step.scale for step in steps] == [(160, 160)] * 3
    model = cfg.model
    assert model.neck.out_channels == 192 and model.image_tokenizer.positional_encoding.num_feats == 96
    assert model.image_tokenizer.num_tokens == 40


def test_another_config_is_read_the_same_afterwards(write):
    before = Config.fromfile(write('')).to_dict()
    read_config(write('count = 5'), dict(size=(1, 1)))
    assert Config.fromfile(write('')).to_dict() == before


def test_other_kinds_of_config_files(tmp_path):
    (tmp_path / 'config.json').write_text('{"count": 3}')
    assert read_config(tmp_path / 'config.json', dict(count=5)).count == 5
    (tmp_path / 'lazy.py').write_text('from mmengine.config import Config, read_base\ncount = 3\n')
    assert read_config(tmp_path / 'lazy.py', dict(count=5)).count == 5
    (tmp_path / 'number.py').write_text("count = {{'$SOME_COUNT:3'}}\nmodel = dict(count=count)\n")
    assert read_config(tmp_path / 'number.py', dict(count=5)).model.count == 5
    with pytest.raises(FileNotFoundError):
        read_config(tmp_path / 'none.py')
    (tmp_path / 'broken.py').write_text('count = (3\n')
    with pytest.raises(SyntaxError, match='line 1|never closed'):
        read_config(tmp_path / 'broken.py')
