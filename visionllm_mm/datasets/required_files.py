"""Checks before a run which files of a config are missing, and states where to get them (docs/data.md)."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

_COCO = 'https://cocodataset.org/#download'
# Pattern of the end of a path -> source of the file; the first match counts.
SOURCES = (
    ('annotations/*_norefcoco.json', 'python tools/remove_refcoco_images.py writes it'),
    ('annotations/instances_*2017.json', f'from annotations_trainval2017.zip of {_COCO}'),
    *(
        (f'{folder}{inside}', f'from {folder}.zip of {_COCO}')
        for folder in ('train2017', 'val2017', 'train2014', 'val2014')
        for inside in ('', '/*')
    ),
    ('mdetr_annotations/finetune_*.json', 'from mdetr_annotations.tar.gz of https://zenodo.org/record/4729015'),
    (
        'annotations/dataset_coco.json',
        'from https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip',
    ),
    ('llava/llava_instruct_150k.json', 'from https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K'),
    ('lvis_v1/annotations/lvis_v1_*.json', 'from https://www.lvisdataset.org/dataset'),
    ('*miniscenes/*', 'python tools/prepare_miniscenes.py makes it'),
)


def check_files(*parts) -> None:
    """Looks for the annotation files and image folders that parts of a config name.

    Args:
        parts: dataloaders, evaluators or parts that contain them; None is skipped. Checked are the ``ann_file`` of
            every data set and metric, and the folders in ``data_prefix`` of every data set. Storage other than files
            (``backend_args``, URLs) is not checked.

    Raises:
        FileNotFoundError: when some are missing, or folders empty. The message lists all of them and
            states where to get each.
    """
    missing = [
        path
        for path in dict.fromkeys(named_files(parts))
        if not path.exists() or (path.is_dir() and not any(path.iterdir()))
    ]
    if missing:
        raise FileNotFoundError(describe_missing(missing))


def describe_missing(paths: Iterable[Path]) -> str:
    """The missing files and where to get them, one line per path."""
    lines = [f'{path} is {"empty" if path.exists() else "missing"}{where_to_get(path)}' for path in paths]
    return '\n  '.join(['the data is not complete (docs/data.md shows the layout):', *lines])


def where_to_get(path: Path) -> str:
    """The source of a known file or folder, after ': '; else an empty string."""
    for pattern, source in SOURCES:
        if fnmatch(path.as_posix(), f'*/{pattern}') or fnmatch(path.as_posix(), pattern):
            return f': {source}'
    return ''


def named_files(part, outer_root: str = '') -> Iterator[Path]:
    """Annotation files and folders that parts of a config name.

    Files of ``objects`` are in the ``data_root`` of the data set that ``objects`` belongs to.
    """
    if isinstance(part, Mapping):
        root = part.get('data_root') or outer_root
        if isinstance(part.get('ann_file'), str) and not part.get('backend_args'):
            prefix = part.get('data_prefix') or {}
            folders = prefix.values() if isinstance(prefix, Mapping) else [prefix]
            names = [part['ann_file'], *(folder for folder in folders if folder)]
            yield from (Path(root, name) for name in names if '://' not in f'{root}{name}')
        yield from named_files(part.get('objects'), root)
        part = [inner for key, inner in part.items() if key != 'objects']
    elif not isinstance(part, (list, tuple)):
        return
    for inner in part:
        yield from named_files(inner)
