"""Every module imports: no syntax error, no optional package at the top."""

import importlib
import pkgutil

import pytest

import visionllm_mm

MODULES = sorted(module.name for module in pkgutil.walk_packages(visionllm_mm.__path__, 'visionllm_mm.'))


@pytest.mark.parametrize('name', MODULES)
def test_module_imports(name):
    importlib.import_module(name)
