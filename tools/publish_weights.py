"""Make a small file of the weights of a checkpoint: half precision, without optimizer and logs.

    python tools/publish_weights.py work_dirs/mine/epoch_60.pth mine.pth

Floating-point weights become float16; a model converts them to its own precision. The config and the class names of the
checkpoint stay; weights of earlier versions get their current names. It prints size and SHA-256.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from _launch import import_plugin, require_file

NAME = 'publish_weights.py'
KEPT = ('cfg', 'dataset_meta', 'epoch', 'iter', 'mmengine_version', 'experiment_name')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint of a training')
    parser.add_argument('out', help='file to write')
    parser.add_argument('--force', action='store_true', help='write over the file of an earlier run')
    args = parser.parse_args()
    require_file(args.checkpoint, 'checkpoint')
    if Path(args.out).exists() and not args.force:
        sys.exit(f'{NAME}: {args.out} is there already: give another name, or --force to write over it')
    return args


def publish(checkpoint: dict) -> dict:
    """The weights in half precision, with the metadata that a model needs; other entries are left out.

    Args:
        checkpoint: checkpoint of a training, with a ``state_dict``.

    Raises:
        ValueError: when there are no weights, or one is too large for float16.
    """
    if not checkpoint.get('state_dict'):
        raise ValueError(f'it has no state_dict, but {sorted(checkpoint)}')
    from visionllm_mm.compat.renamed import rename_weight

    weights, halves = {}, {}
    for name, value in checkpoint['state_dict'].items():
        name = rename_weight(name)
        if not value.is_floating_point():
            weights[name] = value
            continue
        # Tied weights, such as token embeddings and logits, stay one tensor in the file.
        weights[name] = halves.setdefault((value.data_ptr(), value.shape), value.half())
        if value.isfinite().all() and not weights[name].isfinite().all():
            raise ValueError(f'{name} holds {value.abs().max():.3g}, too large for float16')
    meta = {key: value for key, value in checkpoint.get('meta', {}).items() if key in KEPT}
    return dict(meta=meta, state_dict=weights)


def main() -> None:
    args = parse_args()
    import_plugin()
    from mmengine.runner.checkpoint import CheckpointLoader

    from visionllm_mm.atomic_files import write_files

    try:
        content = publish(CheckpointLoader.load_checkpoint(args.checkpoint, map_location='cpu'))
    except ValueError as error:
        sys.exit(f'{NAME}: {args.checkpoint}: {error}')
    out = Path(args.out)
    write_files({out: content})
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    print(f'{out}: {out.stat().st_size / 1e6:.1f} MB, {len(content["state_dict"])} tensors, sha256 {digest}')


if __name__ == '__main__':
    main()
