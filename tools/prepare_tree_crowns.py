"""Makes a folder of real photographs in COCO format, to try the configs for own photographs on.

    python tools/prepare_tree_crowns.py

Tree crowns in airborne photographs of NEON (CC0 1.0) with annotations of DeepForest (MIT), from the wheel of the
package deepforest, which pip downloads (20 MB) and does not install.
"""

import argparse
import sys
from pathlib import Path

from _launch import import_plugin

NAME = 'prepare_tree_crowns.py'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', default='data/tree_crowns', help='folder to write (default: %(default)s)')
    parser.add_argument('--wheel', help='the wheel of deepforest, where you have downloaded it')
    args = parser.parse_args()
    import_plugin()
    from visionllm_mm.convert.tree_crowns import CATEGORY, write_tree_crowns

    try:
        counts = write_tree_crowns(Path(args.out).expanduser(), args.wheel)
    except (OSError, ValueError) as error:
        sys.exit(f'{NAME}: {error}')
    for name, (pictures, boxes) in counts.items():
        print(f'{name}: {pictures} pictures, {boxes} boxes of "{CATEGORY}"')
    print(f'wrote {args.out}; next: python tools/check_dataset.py {args.out}')


if __name__ == '__main__':
    main()
