"""JSON files of any program and locale; what can't be read is named."""

import json
import os
import subprocess
import sys

import pytest

from tests.helpers.tiny import ROOT
from visionllm_mm.datasets.json_file import read_json

CONTENT = dict(name='Größe 树')


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-32', 'utf-32-be'])
def test_encodings(tmp_path, encoding):
    path = tmp_path / 'a.json'
    path.write_bytes(json.dumps(CONTENT, ensure_ascii=False).encode(encoding))
    assert read_json(path) == read_json(str(path)) == CONTENT


def test_the_locale_does_not_count(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(CONTENT, ensure_ascii=False), encoding='utf-8')
    # The module alone: importing the package takes seconds.
    code = """
import importlib.util as util, json, sys
spec = util.spec_from_file_location('json_file', sys.argv[1])
module = util.module_from_spec(spec)
spec.loader.exec_module(module)
print(json.dumps(module.read_json(sys.argv[2])))
"""
    locale = dict(PYTHONUTF8='0', PYTHONCOERCECLOCALE='0', LC_ALL='C')
    command = [sys.executable, '-c', code, str(ROOT / 'visionllm_mm/datasets/json_file.py'), str(path)]
    done = subprocess.run(command, capture_output=True, env=os.environ | locale, timeout=60, check=True)
    assert json.loads(done.stdout) == CONTENT


@pytest.mark.parametrize(
    'data, message',
    [
        (b'', r'is empty \(0 bytes\)'),
        (b' \n\0', r'is empty \(3 bytes\)'),
        ('{"name": "Größe"}'.encode('latin-1'), 'is not UTF-8: byte 0xf6 at position 12. Save it as UTF-8'),
        (b'{"a": 1,}', 'is no JSON: .* at line 1, column 9. Write or copy it again'),
        (b'{"a": [1, 2', 'is no JSON: .* at line 1, column 12: its end is missing'),
        (b'{"a": "b', 'its end is missing'),
        (b'{"a": 1}\n{"a": 2}\n', r'is not one JSON value but several \(.* line 2, column 1\)'),
        (b'PK\x03\x04rest', 'is no JSON but a ZIP archive: unpack it'),
        (b'\x1f\x8b\x08rest', 'is no JSON but a gzip archive'),
        (b'version https://git-lfs.github.com/spec/v1\noid', 'a pointer of Git LFS: `git lfs pull`'),
        (b'<!DOCTYPE html><html>', 'a web page'),
        (b'\n<annotation>', r'XML \(Pascal VOC is\)'),
        (b'\x89PNG\r\n', 'a picture'),
        (b'0 0.5 0.5 0.1 0.2\n1 0.2 0.3 0.1 0.1\n', 'text as YOLO writes it'),
        (b'[' * 100_000, 'nested too deeply'),
        (b'{"a": 1, "a": 2}', "two values of the key 'a' in one object: keep one"),
        (b'{"a": ' + b'9' * 5000 + b'}', 'no sound JSON: Exceeds the limit'),
    ],
)
def test_what_can_not_be_read_is_named(tmp_path, data, message):
    path = tmp_path / 'bad.json'
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f'^{path} {message}' if message.startswith('is') else message) as raised:
        read_json(path)
    assert len(str(raised.value)) < len(str(path)) + 250


def test_a_key_twice_with_one_value(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('{"a": [1], "a": [1]}')
    assert read_json(path) == dict(a=[1])


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(ValueError, match='is a folder: name a JSON file'):
        read_json(tmp_path)
    with pytest.raises(FileNotFoundError, match='no file .*none.json'):
        read_json(tmp_path / 'none.json')
