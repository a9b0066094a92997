"""Images with captions (paper, section 4.1: COCO Caption, Karpathy's split)."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from mmdet.registry import DATASETS
from mmengine.logging import print_log

from .json_file import read_json
from .text_datasets import TextDataset


@DATASETS.register_module()
class CaptionDataset(TextDataset):
    """One sample per image, from COCO's ``captions_*.json`` or Karpathy's ``dataset_coco.json``.

    (For lists of ``{"image", "caption"}``, as BLIP uses them, mmdet has CocoCaptionDataset.) Samples have
    ``img_path``, ``img_id`` and ``gt_caption``, all captions of the image. Captions without text
    are left out, and so are images without any other caption; the log states how many.

    Args:
        args: see :class:`TextDataset`.
        splits: the splits of Karpathy's file to load, e.g. ``('train', 'restval')``; None: all.
        kwargs: see :class:`TextDataset`; ``data_prefix=dict(img=...)`` is the folder of the images. Karpathy's file
            has its own folders (``val2014``) below it.

    Raises:
        FileNotFoundError: when the annotation file is missing.
        ValueError: when it has neither format, or no image of the splits.
    """

    def __init__(self, *args, splits: Sequence[str] | None = None, **kwargs) -> None:
        self.splits = splits
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        path = Path(self.ann_file)
        if not path.is_file():
            raise FileNotFoundError(f'no annotation file {path}')
        content = read_json(path)
        images = content.get('images', []) if isinstance(content, dict) else []
        if not images:
            raise ValueError(f'{path} is neither a caption file of COCO nor one of Karpathy: it has no images')
        karpathy = 'sentences' in images[0]
        samples = self._read_karpathy(images) if karpathy else self._read_coco(images, content.get('annotations'))
        for sample in samples:
            sample['gt_caption'] = [text.strip() for text in sample['gt_caption'] if text and text.strip()]
        kept = [sample for sample in samples if sample['gt_caption']]
        if len(kept) < len(samples):
            print_log(
                f'{path}: {len(samples) - len(kept)} of {len(samples)} images have no caption and are left out',
                logger='current',
            )
        if not kept:
            raise ValueError(f'{path} has no image with a caption' + (f' in {self.splits}' if self.splits else ''))
        return self.with_objects(kept)

    def _read_karpathy(self, images: list[dict]) -> list[dict]:
        folder = Path(self.data_prefix.get('img', ''))
        return [
            dict(
                img_path=str(folder / image.get('filepath', '') / image['filename']),
                img_id=image.get('cocoid', image['imgid']),
                gt_caption=[sentence.get('raw') for sentence in image['sentences']],
            )
            for image in images
            if self.splits is None or image['split'] in self.splits
        ]

    def _read_coco(self, images: list[dict], annotations: list[dict] | None) -> list[dict]:
        if self.splits is not None:
            raise ValueError(f"splits={self.splits} are Karpathy's, but {self.ann_file} is a file of COCO")
        if annotations is None:
            raise ValueError(
                f'{self.ann_file} has images, but no annotations: take the file of captions '
                '(captions_*.json of COCO), not that of image information'
            )
        captions = defaultdict(list)
        for annotation in annotations:
            captions[annotation['image_id']].append(annotation.get('caption'))
        folder = Path(self.data_prefix.get('img', ''))
        return [
            dict(img_path=str(folder / image['file_name']), img_id=image['id'], gt_caption=captions[image['id']])
            for image in images
        ]
