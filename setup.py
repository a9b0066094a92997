"""Package visionllm_mm as the distribution visionllm-mmdet.

mim and mmengine look for configs, tools and the model index in `.mim` inside the installed package:
`BuildWithExtras` puts them there in a wheel. A checkout needs no copy, both look beside the package.

The distribution's name has to sort after the module's: mim takes the folder of the first file in
the installation record for the module's, so the record must not start with visionllm_mm-*.dist-info
or, for a console script, with ../../../bin. The same holds for what else is installed: `visionllm_mm_ops/`
sorts after `visionllm_mm/`. A single `visionllm_mm_ops.py` would not do: its record starts with __pycache__.
"""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MODULE = 'visionllm_mm'
OPS_FINDER = 'visionllm_mm_ops'
MIM_PARTS = ('tools', 'configs', 'model-index.yml')


def read_version() -> str:
    text = (ROOT / MODULE / 'version.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE).group(1)


def read_readme() -> str:
    readme = ROOT / 'README.md'
    return readme.read_text(encoding='utf-8') if readme.is_file() else ''


def add_mim_extension(package: Path) -> None:
    """Copy tools, configs and the model index to `.mim` of a package that is being built."""
    mim = package / '.mim'
    shutil.rmtree(mim, ignore_errors=True)
    mim.mkdir(parents=True)
    for name in MIM_PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, mim / name, ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy2(source, mim / name)


def add_ops_finder(site_packages: Path) -> None:
    """Let every start of Python call visionllm_mm/compat/ops_finder.py, which says what for.

    An installation in place gets a copy, too. Otherwise every start of Python would print an error once the checkout is
    moved or removed.
    """
    package = site_packages / OPS_FINDER
    package.mkdir(exist_ok=True)
    shutil.copy2(ROOT / MODULE / 'compat' / 'ops_finder.py', package / '__init__.py')
    (site_packages / f'{OPS_FINDER}.pth').write_text(f'import {OPS_FINDER}; {OPS_FINDER}.install()\n', encoding='utf-8')


class BuildWithExtras(build_py):
    def run(self):
        super().run()
        if self.editable_mode:
            # setuptools throws build_lib away then, and installs what is in install_lib.
            site_packages = Path(self.get_finalized_command('install').install_lib)
        else:
            site_packages = Path(self.build_lib)
            add_mim_extension(site_packages / MODULE)
        add_ops_finder(site_packages)


# mmcv, mmengine and mmdet are no hard requirements: pip would lay the originals over the files of
# onedl-*, which have the same import names. visionllm_mm checks them when it is imported.
ONEDL = ['onedl-mmengine==0.10.12', 'onedl-mmcv==2.3.6', 'onedl-mmdetection==3.5.1']
MIM = ['onedl-mim==0.5.1']
CAPTIONS = ['pycocoevalcap>=1.2']
LVIS = ['lvis>=0.5.3']
WEB = ['gradio>=6']
DOCS = ['mkdocs-material>=9.7', 'mkdocstrings[python]>=1']
# For tokenizers that are a tokenizer.model alone, as LLaMA's and Alpaca's.
LLAMA = ['sentencepiece>=0.2', 'protobuf']
ONNX = ['onnx>=1.17', 'onnxruntime>=1.20']
# playwright drives the Chromium that the tests of the page look for; supervision takes our predictions; gguf writes a
# file for tools/export_gguf.py to read; langchain-core calls our tools; scikit-learn has handwritten digits.
DEV = [
    'pytest>=8',
    'ruff>=0.9',
    'flake8>=7',
    'pydoclint>=0.12',
    'pre-commit>=4',
    'setuptools>=77',
    'playwright>=1.50',
    'supervision>=0.25',
    'gguf>=0.17',
    'langchain-core>=1',
    'scikit-learn>=1.5',
]

setup(
    name='visionllm-mmdet',
    version=read_version(),
    description='VisionLLM (arXiv 2305.11175) as an MMDetection plugin',
    long_description=read_readme(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='object detection, vision-language model, open-ended decoding, MMDetection',
    packages=find_packages(include=[MODULE, f'{MODULE}.*']),
    package_data={MODULE: ['assets/*', 'assets/**/*']},
    python_requires='>=3.10',
    install_requires=[
        'torch>=2.6',
        'transformers>=5.0',
        'peft>=0.18',
        'numpy',
        'scipy',
        'pycocotools',
        'contourpy',
    ],
    extras_require={
        'onedl': ONEDL,
        'mim': MIM,
        'captions': CAPTIONS,
        'lvis': LVIS,
        'web': WEB,
        'docs': DOCS,
        'llama': LLAMA,
        'onnx': ONNX,
        'dev': DEV,
        'all': ONEDL + MIM + CAPTIONS + LVIS + WEB + DOCS + LLAMA + ONNX + DEV,
    },
    cmdclass={'build_py': BuildWithExtras},
    zip_safe=False,
)
