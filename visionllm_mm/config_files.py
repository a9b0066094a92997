"""Config files: environment variables in them, and settings of a base that are changed in one place."""

from __future__ import annotations

import ast
import inspect
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.config import config as mmengine_config
from mmengine.runner import FlexibleRunner, Runner

from .instructions import shorten

_BASE = '_base_'
# What mmengine replaces in the source of a config.
_NOTATION = re.compile(r'\{\{\s*[\'"]?\s*(\$|_base_\b|file(Dirname|Basename|Extname))')
# Top-level settings that are read from the whole config, so that a change has its effect wherever it stands; all others
# are intermediate variables (mmdet's word), from which a config computes settings.
_READ = {
    *inspect.signature(Runner.__init__).parameters,
    *inspect.signature(FlexibleRunner.__init__).parameters,
    *('auto_scale_lr', 'custom_imports', 'find_unused_parameters', 'planning', 'runner_type', 'simulated_tasks'),
    *('tta_model', 'tta_pipeline'),
}


def from_environment(name: str, default: str) -> str:
    """A path, or a name on the Hugging Face hub, for a config; with ``~`` expanded, and without blanks at its ends.

    mmengine's ``{{$NAME:default}}`` makes the value a part of the config's source, where quotes and backslashes have
    a meaning.

    Args:
        name: the environment variable.
        default: the value where it is not set.

    Raises:
        ValueError: when it is set, but blank, or holds what mmengine would replace in a saved config.
    """
    if name not in os.environ:
        return default
    value = os.environ[name].strip()
    if not value:
        raise ValueError(
            f'the environment variable {name} is set, but empty: give it a path or a name, or `unset {name}` to take '
            f'{default}'
        )
    if _NOTATION.search(value):
        raise ValueError(
            f'the environment variable {name} is {shorten(value)}, and mmengine would replace {{{{...}}}} in it when a '
            'saved config is read: rename the folder'
        )
    return os.path.expanduser(value)


def read_config(path: str | Path, options: Mapping[str, object] | None = None) -> Config:
    """Reads a config file.

    mmengine reads a base before the file that inherits from it. So a file that only sets ``image_scale``, as its base
    does, changes none of the settings that the base computed from it, its intermediate variable. Here the base is read
    with the new value.

    Args:
        path: the file.
        options: settings to change, such as ``{'model.test_cfg.max_per_img': 50, 'image_scale': (256, 256)}``.

    Raises:
        FileNotFoundError: when it, a base or a file that it reads is missing.
        SyntaxError: when a file is no Python.
        ValueError: when a setting of a base is changed without effect, or an environment variable can't be put in.
    """
    files = list(_chain(Path(path).expanduser()))
    intermediate = {name for file in files for name in file.set} - _READ
    given = {key: value for key, value in (options or {}).items() if key.partition('.')[0] in intermediate}
    again = _set_again(files) & intermediate
    # Known before anything is read: what the bases read may depend on them, as class names do on the folder.
    values = {name: _literal([file.set[name] for file in files if name in file.set][-1]) for name in again}
    values |= {key: value for key, value in given.items() if key in intermediate}
    values = {name: value for name, value in values.items() if _as_code(value) and not isinstance(value, dict)}
    cfg = _read(path, values)
    names = {key.partition('.')[0] for key in given} | again
    if names - values.keys():
        wanted = Config(cfg.to_dict())
        wanted.merge_from_dict(given)
        values = {name: value for name, value in wanted.to_dict().items() if name in names and _as_code(value)}
        cfg = _read(path, values)
    _refuse_without_effect(path, files, cfg, values)
    cfg.merge_from_dict({key: value for key, value in (options or {}).items() if key.partition('.')[0] not in values})
    return cfg


_UNKNOWN = object()


@dataclass
class _File:
    """What a config file does with names at its top level: it sets them, or uses its own or those of its bases."""

    set: dict[str, ast.expr]
    used: set[str]


def _chain(path: Path) -> Iterator[_File]:
    """The file and those that it inherits from, bases first; none where it is no Python, or imports its bases."""
    if path.suffix != '.py' or not path.is_file():
        return
    text = path.read_text(encoding='utf-8')
    _check_substituted(text)
    tree = ast.parse(text, filename=str(path))
    assigned = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    if _BASE not in assigned and Config._is_lazy_import(str(path)):
        return
    bases = ast.literal_eval(assigned.pop(_BASE)) if _BASE in assigned else []
    for base in [bases] if isinstance(bases, str) else bases:
        yield from _chain(Path(Config._get_cfg_path(base, str(path))[0]))
    loaded = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    yield _File(assigned, loaded | _of_base(tree))


def _check_substituted(text: str) -> None:
    """Raises a ValueError where a variable that mmengine would write into the source would not stay as it is."""
    for name in re.findall(r'\{\{[\'"]?\s*\$(\w+)', text):
        value = os.environ.get(name)
        if value is not None and (not value.strip() or re.search(r'[\\\'"{}\n\r]', value)):
            raise ValueError(
                f'the environment variable {name} is {shorten(value)}, and {{{{${name}:...}}}} makes it a part of the '
                f"config's source, where it would not stay as it is: write from_environment({name!r}, ...) of "
                'visionllm_mm.config_files instead, or give it another value'
            )


def _of_base(tree: ast.AST) -> set[str]:
    """Names that stand as ``{{_base_.name}}``."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == _BASE
    }


def _set_again(files: list[_File]) -> set[str]:
    """Names that a file sets as one of its bases does, and does not use itself."""
    found, before = set(), set()
    for file in files:
        again = {name for name in before & file.set.keys() if not _of_base(file.set[name])}
        found = (found - file.set.keys()) | (again - file.used)
        before |= file.set.keys()
    return found


def _literal(expression: ast.expr) -> object:
    """The value of an expression of literals and ``dict``; else ``_UNKNOWN``."""
    try:
        return eval(compile(ast.Expression(expression), 'config', 'eval'), {'__builtins__': {}, 'dict': dict})
    except Exception:  # it calls other functions, or uses other settings
        return _UNKNOWN


def _as_code(value: object) -> ast.expr | None:
    """The value as an expression; None where Python's notation for it is no expression."""
    try:
        return ast.parse(repr(value), mode='eval').body
    except SyntaxError:
        return None


@contextmanager
def _given(values: Mapping[str, object]) -> Iterator[None]:
    """Every config file that sets one of these names sets it to this value."""
    original = mmengine_config.RemoveAssignFromAST

    class GiveValues(original):
        def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
            node = super().visit_Assign(node)
            name = getattr(node.targets[0], 'id', None) if node else None
            if name in values:
                node.value = ast.copy_location(_as_code(values[name]), node.value)
                ast.fix_missing_locations(node)
            return node

        def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
            return node  # its names are its own

    mmengine_config.RemoveAssignFromAST = GiveValues
    try:
        yield
    finally:
        mmengine_config.RemoveAssignFromAST = original


def _read(path: str | Path, values: Mapping[str, object]) -> Config:
    with _given(values):
        return Config.fromfile(path)


def _refuse_without_effect(path: str | Path, files: list[_File], cfg: Config, values: Mapping[str, object]) -> None:
    """Raises a ValueError where one of these settings changes nothing but itself."""
    again = _set_again(files)
    for name, value in values.items():
        after = cfg.to_dict()
        del after[name]
        setters = [file.set[name] for file in files if name in file.set]
        old = _literal(setters[-2]) if name in again else None
        if old in (_UNKNOWN, value):
            continue
        try:
            before = _read(path, {other: values[other] for other in values if other != name}).to_dict()
        except Exception:  # without the setting there is no config
            continue
        unchanged = before.pop(name)
        old = unchanged if old is None else old
        if old == value or before != after:
            continue
        places = list(_places({key: part for key, part in after.items() if key in _READ}, name, old))
        if places or any(name in file.used for file in files):
            remedy = f': set {", ".join(places[:4])} instead' if places else ''
            raise ValueError(f'{name} = {shorten(value)} changes nothing{remedy}')


def _places(cfg: Mapping[str, object], name: str, value: object) -> Iterator[str]:
    """Settings of a config that have this name or, where it is no mere number, this value."""
    for place, inner in walk(cfg):
        same = isinstance(value, list | tuple | dict) and type(inner) is type(value) and inner == value
        if same or place.rpartition('.')[2] == name:
            yield place


def walk(part: object, path: str = '') -> Iterator[tuple[str, object]]:
    """All settings inside of a part of a config, as ``train_dataloader.dataset.pipeline.4.scale`` and value."""
    items = part.items() if isinstance(part, Mapping) else enumerate(part) if isinstance(part, list | tuple) else ()
    for key, inner in items:
        here = f'{path}.{key}' if path else str(key)
        yield here, inner
        yield from walk(inner, here)
