"""The built wheel and the package in place: what is installed, and that mim trains and tests with nothing but it."""

import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

CONFIG = 'visionllm-tiny_miniscenes-det.py'
PARTS = ('visionllm_mm', 'tools', 'configs', 'requirements')
FILES = ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'model-index.yml', 'LICENSE', 'README.md')


# What mmdet's own programs import first. Each has to work alone, and with visionllm_mm after it.
ENTRANCES = (
    'import mmdet.models',
    'from mmdet.utils import register_all_modules; register_all_modules()',
    'from mmdet.apis import DetInferencer',
)


@pytest.fixture(scope='session')
def source(repo_root, tmp_path_factory):
    """A copy of the sources, so that no build folder is left in the checkout."""
    source = tmp_path_factory.mktemp('source')
    for part in PARTS:
        ignore = shutil.ignore_patterns('__pycache__', '.mim')
        shutil.copytree(repo_root / part, source / part, ignore=ignore)
    for name in FILES:
        if (repo_root / name).is_file():
            shutil.copy2(repo_root / name, source / name)
    return source


@pytest.fixture(scope='session')
def wheel(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp('wheel')
    command = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation']
    subprocess.run([*command, '-w', str(folder), str(source)], check=True, timeout=120)
    return next(folder.glob('visionllm_mmdet-*-py3-none-any.whl'))


@pytest.fixture(scope='session')
def wheel_names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_has_what_mim_looks_for(wheel_names, repo_root):
    mim = 'visionllm_mm/.mim'
    for name in ('model-index.yml', 'tools/train.py', 'tools/test.py'):
        assert f'{mim}/{name}' in wheel_names
    for config in (repo_root / 'configs').rglob('*.py'):
        assert f'{mim}/{config.relative_to(repo_root).as_posix()}' in wheel_names
    assert not [name for name in wheel_names if '__pycache__' in name or name.startswith('tests')]


def test_wheel_has_the_package_and_its_assets(wheel_names, repo_root):
    package = repo_root / 'visionllm_mm'
    assets = [path for path in (package / 'assets').rglob('*') if path.is_file()]
    assert assets
    for path in [*package.rglob('*.py'), *assets]:
        relative = path.relative_to(repo_root).as_posix()
        assert '.mim' in relative or relative in wheel_names, f'{relative} is not in the wheel'


def test_module_sorts_before_its_metadata(wheel_names):
    """mim takes the folder of the first file in the sorted installation record for the package."""
    assert min(wheel_names).startswith('visionllm_mm/')
    assert not [name for name in wheel_names if name.endswith('entry_points.txt')]


def test_model_index_names_configs_that_exist_once(wheel_names, repo_root):
    index = yaml.safe_load((repo_root / 'model-index.yml').read_text())
    models = [
        model for metafile in index['Import'] for model in yaml.safe_load((repo_root / metafile).read_text())['Models']
    ]
    for model in models:
        assert f'visionllm_mm/.mim/{model["Config"]}' in wheel_names, model['Name']
        assert Path(model['Config']).stem == model['Name']
    stems = [name for name in wheel_names if '/.mim/configs/' in name and name.endswith('.py')]
    assert len({Path(name).name for name in stems}) == len(stems), 'mim finds configs by name alone'
    named = {f'visionllm_mm/.mim/{model["Config"]}' for model in models}
    assert named == {name for name in stems if '/_base_/' not in name}, 'configs that the model index lacks'


def test_wheel_lets_python_find_the_stand_in_for_ops(wheel, repo_root):
    with zipfile.ZipFile(wheel) as archive:
        finder = (repo_root / 'visionllm_mm/compat/ops_finder.py').read_bytes()
        assert archive.read('visionllm_mm_ops/__init__.py') == finder
        assert archive.read('visionllm_mm_ops.pth').startswith(b'import visionllm_mm_ops')


def make_environment(root):
    """Make an environment with, by path, the packages of this one; return its Python and its folder of packages."""
    venv.create(root, with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path('purelib', vars={'base': str(root), 'platbase': str(root)}))
    # A bare path: this environment's .pth files, those of an installed visionllm_mm too, stay out.
    here = [path for path in site.getsitepackages() if Path(path).is_dir()]
    (packages / 'outer.pth').write_text('\n'.join(here) + '\n')
    return root / 'bin' / 'python', packages


def pip(python, *arguments):
    subprocess.run([sys.executable, '-m', 'pip', '--python', str(python), *arguments], check=True, timeout=120)


# --ignore-installed: this environment's own visionllm-mmdet is not pip's to remove.
INSTALL = ('install', '-q', '--no-deps', '--no-build-isolation', '--ignore-installed')


@pytest.fixture(scope='session')
def python_with_wheel(wheel, tmp_path_factory):
    python, _ = make_environment(tmp_path_factory.mktemp('installed') / 'venv')
    pip(python, *INSTALL, str(wheel))
    return python


@pytest.mark.slow
@pytest.mark.parametrize('in_place', [False, True], ids=['wheel', 'in place'])
def test_mmdet_is_imported_in_any_order_until_uninstalled(in_place, source, wheel, tmp_path):
    python, packages = make_environment(tmp_path / 'venv')
    before = set(packages.rglob('*'))
    pip(python, *INSTALL, *(['-e', str(source)] if in_place else [str(wheel)]))
    env = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    package = source if in_place else packages
    for entrance in ENTRANCES:
        code = f'import sys\n{entrance}\nassert "visionllm_mm" not in sys.modules\nimport visionllm_mm\n'
        code += f'assert visionllm_mm.__file__.startswith({str(package)!r}), visionllm_mm'
        subprocess.run([python, '-c', code], cwd=tmp_path, env=env, check=True, timeout=120)
    pip(python, 'uninstall', '-q', '-y', 'visionllm-mmdet')
    assert set(packages.rglob('*')) == before


@pytest.mark.slow
def test_mim_trains_and_tests(python_with_wheel, repo_root, tmp_path):
    def run(*command):
        env = {**os.environ, 'MINISCENES_ROOT': str(tmp_path / 'data'), 'CUDA_VISIBLE_DEVICES': ''}
        env.pop('PYTHONPATH', None)
        result = subprocess.run(
            [str(python_with_wheel), *map(str, command)],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=600,
        )
        output = result.stdout + result.stderr
        assert result.returncode == 0, output[-6000:]
        return output

    where = run('-c', 'import visionllm_mm; print(visionllm_mm.__file__)')
    assert str(python_with_wheel.parents[1]) in where
    prepare = repo_root / 'tools' / 'prepare_miniscenes.py'
    run(prepare, '--out', tmp_path / 'data', '--num-train', 8, '--num-val', 4, '--seed', 0)

    few = ('train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.batch_size=4')
    short_warmup = 'default_hooks.warmup.num_iters=2'
    mim = ('-m', 'mim')
    output = run(
        *(*mim, 'train', 'visionllm-mmdet', CONFIG, '--gpus', 0, '--work-dir', tmp_path / 'run'),
        *('--cfg-options', *few, short_warmup),
    )
    assert '.mim/configs/visionllm' in output and 'Training finished successfully' in output
    checkpoint = tmp_path / 'run' / 'epoch_1.pth'
    assert checkpoint.is_file()
    output = run(
        *(*mim, 'test', 'visionllm-mmdet', CONFIG, '--checkpoint', checkpoint),
        *('--work-dir', tmp_path / 'tested', '--show-dir', tmp_path / 'drawn'),
    )
    assert 'coco/bbox_mAP' in output and 'Testing finished successfully' in output
    assert len(list((tmp_path / 'drawn').iterdir())) == 4
