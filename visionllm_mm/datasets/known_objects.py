"""What is known of the objects in images that texts are about."""

from pathlib import Path

from mmdet.datasets import CocoDataset


def add_known_objects(samples: list[dict], objects: dict, data_root: str | None) -> None:
    """Adds ``instances``, ``img_shape`` and ``object_names``, the names of their labels, to samples, in place.

    Args:
        samples: each with an ``img_path``; images are told apart by the name of their file.
        objects: arguments of mmdet's CocoDataset, whose file says what objects the images show (``ann_file``,
            ``metainfo``).
        data_root: of that file.

    Raises:
        ValueError: when an image is not in the file of objects.
    """
    known = CocoDataset(**(dict(data_root=data_root, data_prefix=dict(img=''), test_mode=True) | objects))
    by_file = {}
    for i in range(len(known)):
        info = known.get_data_info(i)
        by_file[Path(info['img_path']).name] = info
    names = list(known.metainfo['classes'])
    for sample in samples:
        if Path(sample['img_path']).name not in by_file:
            raise ValueError(f'{sample["img_path"]} is not in {known.ann_file}: give a file of objects with all '
                             'images, or leave objects out')
        info = by_file[Path(sample['img_path']).name]
        sample.update(instances=info['instances'], img_shape=(info['height'], info['width']), object_names=names)
