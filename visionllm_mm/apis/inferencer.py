"""An mmdet inferencer for all tasks, by instruction."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.apis import DetInferencer
from mmdet.apis.det_inferencer import IMG_EXTENSIONS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.visualization import Visualizer

from ..atomic_files import write_files
from ..config_files import read_config
from ..datasets.transforms import (
    CaptionInstruction,
    DetectionInstruction,
    GroundingInstruction,
    KeypointInstruction,
    QuestionInstruction,
    SegmentationInstruction,
)
from ..datasets.transforms.set_instructions import SetInstruction
from ..datasets.transforms.text_instructions import TextInstruction
from ..instructions import IMAGE_PLACEHOLDER, check_text, shorten
from .images import ImageInput, check_image_file, is_video, open_video, to_array


class VisionLLMInferencer(DetInferencer):
    """mmdet's DetInferencer for any instruction: written by the user, or by one of the methods for tasks.

    Images are paths, folders, arrays (H, W, 3; uint8, BGR as mmdet has them), PIL images, or lists of these, or the
    path of a video, whose frames are images. Every call returns mmdet's ``dict(predictions=[...],
    visualization=[...])``, one prediction per image: a plain dict with

    * ``img_path``, None for arrays, and ``ori_shape``, its height and width;
    * ``instruction``, the text, and ``output_format``, as it was parsed: ``<cls> <x1> <y1> <x2> <y2>``, ``<bos>``;
    * for ``<bos>``: ``text``, the generated text;
    * else, best first: ``bboxes`` (xyxy, px of the original image), ``scores``, ``labels`` (indices into the class
      set), ``label_names``, ``tokens`` (predicted by the LLM: ``<c0> <p-9> <p-12> <p9> <p12>``); for polygons
      ``polygons`` ([[x, y], ...], px) and ``masks`` (COCO's RLE), for named points ``point_names`` and ``keypoints``
      ([[x, y], ...], px).

    All calls take the keyword arguments of mmdet's ``DetInferencer.__call__``, such as ``batch_size``, ``out_dir``,
    ``pred_score_thr`` (the lowest score that is rendered) and ``return_vis``. Pictures that are rendered into
    ``out_dir`` are returned only with ``return_vis=True``: those of a video may not fit into memory. Without an
    instruction it works as mmdet's inferencer: it detects the classes of ``texts='a . b', custom_entities=True``, or
    those of the config.

    Args:
        model: config, or its path.
        weights: path of a checkpoint.
        device: such as ``cuda:0``; None: a GPU where there is one.
        args: see mmdet's DetInferencer.
        max_pixels: larger images and frames are refused.
        kwargs: see mmdet's DetInferencer.

    Raises:
        ValueError: for a CUDA device where there is none, and for a string that names no device.
    """

    def __init__(
        self,
        model: dict | str | None = None,
        weights: str | None = None,
        device: str | None = None,
        *args,
        max_pixels: int = 100_000_000,
        **kwargs,
    ) -> None:
        if device is not None and _device_type(device) == 'cuda' and not torch.cuda.is_available():
            raise ValueError(
                f"device={device!r}, but PyTorch finds no CUDA GPU here: take device='cpu', or see to the "
                'driver and a build of PyTorch with CUDA'
            )
        if isinstance(model, str | Path) and Path(model).is_file():
            model = read_config(model)
        super().__init__(model, weights, device, *args, **kwargs)
        self.max_pixels = max_pixels

    def __call__(self, inputs: ImageInput | Sequence[ImageInput], instruction: str | None = None, **kwargs) -> dict:
        """Gives images and an instruction to the model.

        Args:
            inputs: images.
            instruction: text with ``<image>`` where the image tokens go. It states the class set as
                ``{"circle": <c0>, "red star": <c1>}`` and the format as ``(c, x1, y1, x2, y2)``, or asks for text.
            kwargs: see mmdet's DetInferencer.

        Raises:
            ValueError: when the instruction can't be parsed or is too long, a file is no image, or the files of two
                images would have one name in ``out_dir``.
            TypeError: for an image of another type.
            FileNotFoundError: when there is no such image.
        """
        if instruction is None:
            if kwargs.get('texts') is not None and isinstance(inputs, str | Path) and is_video(inputs):
                raise ValueError(f'texts= is for images, and {inputs} is a video: ask it with detect() or instruction=')
            return super().__call__(inputs, **kwargs)
        return self._ask(inputs, dict(instruction=instruction), **kwargs)

    def detect(self, inputs: ImageInput | Sequence[ImageInput], classes: Sequence[str], **kwargs) -> dict:
        """Boxes of the objects of a class set; a set larger than those of the training is asked for in groups."""
        transform = DetectionInstruction(classes=classes, **self._transform_arguments(True))
        return self._ask(inputs, transform({}), **kwargs)

    def segment(
        self, inputs: ImageInput | Sequence[ImageInput], classes: Sequence[str], num_points: int | None = None, **kwargs
    ) -> dict:
        """Polygons of the objects of a class set, with ``num_points`` points (None: as many as the model has)."""
        count = self.model.vocabulary.max_points if num_points is None else num_points
        transform = SegmentationInstruction(num_points=count, classes=classes, **self._transform_arguments(True))
        return self._ask(inputs, transform({}), **kwargs)

    def ground(self, inputs: ImageInput | Sequence[ImageInput], expression: str, **kwargs) -> dict:
        """Boxes of the object that an expression describes, best first: the first one is the answer."""
        return self._ask(inputs, GroundingInstruction(**self._transform_arguments())(dict(text=expression)), **kwargs)

    def keypoints(
        self, inputs: ImageInput | Sequence[ImageInput], classes: Sequence[str], point_names: Sequence[str], **kwargs
    ) -> dict:
        """Named points of the objects of a class set."""
        transform = KeypointInstruction(point_names=point_names, classes=classes, **self._transform_arguments(True))
        return self._ask(inputs, transform({}), **kwargs)

    def caption(self, inputs: ImageInput | Sequence[ImageInput], max_words: int | None = None, **kwargs) -> dict:
        """A sentence about each image, of at most ``max_words`` words."""
        return self._ask(inputs, CaptionInstruction(max_words=max_words)({}), **kwargs)

    def answer(
        self, inputs: ImageInput | Sequence[ImageInput], question: str, history: Sequence[str] = (), **kwargs
    ) -> dict:
        """Answers a question, or the last one of a conversation.

        Args:
            inputs: images.
            question: the first question.
            history: the further turns: its answer, the next question, ..., the current question.
            kwargs: see mmdet's DetInferencer.

        Raises:
            TypeError: also when a turn is not a string.
            ValueError: also when ``history`` does not end with a question, or a turn of it is empty.
        """
        if len(history) % 2:
            raise ValueError(
                'history goes answer, question, ..., question: it ends with the question asked now, got '
                f'{shorten(list(history))}'
            )
        for turn in history:
            check_text(turn, 'a turn of the history')
            if not turn.strip() or IMAGE_PLACEHOLDER in turn:
                raise ValueError(
                    f'a turn of the history is empty or holds {IMAGE_PLACEHOLDER}, which stands before '
                    f'the first question: {shorten(list(history))}'
                )
        fields = QuestionInstruction()(dict(question=question, history=tuple(history)))
        return self._ask(inputs, fields, **kwargs)

    def _transform_arguments(self, grouped: bool = False) -> dict:
        """Arguments of instruction transforms that depend on the model."""
        return dict(vocabulary=asdict(self.model.vocabulary), max_classes=self.max_classes if grouped else None)

    def preprocess(self, inputs: Sequence, batch_size: int = 1, **kwargs) -> Iterable:
        """mmdet's batches, with their number for the progress bar."""
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {batch_size}')
        return _SizedIterable(super().preprocess(inputs, batch_size, **kwargs), math.ceil(len(inputs) / batch_size))

    def visualize(
        self, inputs: Sequence[str | np.ndarray], *args, return_vis: bool = False, **kwargs
    ) -> list[np.ndarray] | None:
        """Renders predictions, see mmdet's; pictures that are only written to files are not kept."""
        # mmdet reads arrays as BGR for prediction, and as RGB for rendering.
        inputs = [image[..., ::-1] if isinstance(image, np.ndarray) else image for image in inputs]
        count = self.num_visualized_imgs
        pictures = super().visualize(inputs, *args, return_vis=return_vis, **kwargs)
        self.num_visualized_imgs = count + len(inputs)  # rendered or not: the files of predictions are numbered alike
        return pictures if return_vis else None

    def _ask(self, inputs: ImageInput | Sequence[ImageInput], fields: dict, **kwargs) -> dict:
        texts = [fields['instruction'], *(text for text, _ in fields.get('class_groups', ()))]
        for text in texts:
            check_text(text, 'the instruction')
        self.model.check_instructions(texts)
        images = self._inputs_to_list(inputs)
        if kwargs.get('out_dir'):
            names = Counter(Path(image).stem for image in images if isinstance(image, str))
            twice = [name for name, count in names.items() if count > 1]
            if twice:
                raise ValueError(
                    f'files in {kwargs["out_dir"]} are named as the images, but several are called '
                    f'{twice[0]!r}: ask about them one after the other, with an out_dir each'
                )
        return super().__call__(_ImagesWithInstruction(images, fields), **kwargs)

    def _inputs_to_list(self, inputs: ImageInput | Sequence[ImageInput]) -> Sequence[str | np.ndarray]:
        """Checked paths, and arrays; frames of a video are read when they are needed."""
        if isinstance(inputs, _ImagesWithInstruction):
            return inputs
        if isinstance(inputs, str | Path):
            video = open_video(inputs, self.max_pixels)
            if video is not None:
                return video
        if isinstance(inputs, str | Path) and Path(inputs).is_dir():
            found = sorted(str(file) for file in Path(inputs).iterdir() if file.suffix.lower() in IMG_EXTENSIONS)
        else:
            found = super()._inputs_to_list(str(inputs) if isinstance(inputs, Path) else inputs)
        if not found:
            raise ValueError(f'there is no image in {inputs!r}')
        return [
            check_image_file(image, self.max_pixels)
            if isinstance(image, str | Path)
            else to_array(image, self.max_pixels)
            for image in found
        ]

    def _init_pipeline(self, cfg: Config) -> Compose:
        """The test pipeline; its own instruction transform serves samples without an instruction."""
        pipeline = super()._init_pipeline(cfg)
        sizes = [step.max_classes for step in pipeline.transforms if isinstance(step, SetInstruction)]
        # Training may have used only the first class tokens of the vocabulary.
        self.max_classes = min(sizes, default=self.model.vocabulary.num_classes)
        pipeline.transforms = [
            _UnlessInstructed(step) if isinstance(step, SetInstruction | TextInstruction) else step
            for step in pipeline.transforms
        ]
        return pipeline

    def _init_visualizer(self, cfg: Config) -> Visualizer:
        """mmdet's, without LocalVisBackend, which needs a folder: pictures go to the ``out_dir`` of each call."""
        backends = cfg.visualizer.get('vis_backends')
        if isinstance(backends, list):
            kept = [b for b in backends if b.get('type') != 'LocalVisBackend' or b.get('save_dir')]
            cfg = Config(dict(visualizer=cfg.visualizer | dict(vis_backends=kept)))
        return super()._init_visualizer(cfg)

    def pred2dict(self, data_sample: DetDataSample, pred_out_dir: str = '') -> dict:
        """A prediction as a plain dict, see the class; it is also written to ``pred_out_dir`` as JSON."""
        instruction = self.model.parse_instructions([data_sample])[0]
        result = dict(
            img_path=data_sample.get('img_path'),
            ori_shape=list(data_sample.ori_shape[:2]),
            instruction=instruction.text,
            output_format=instruction.format_text,
        )
        if instruction.asks_for_text:
            result['text'] = data_sample.pred_text
        else:
            found = data_sample.pred_instances
            result |= {key: found[key].tolist() for key in ('bboxes', 'scores', 'labels')}
            result['label_names'] = list(found.label_names)
            result['tokens'] = _write_tokens(found.class_tokens.tolist(), found.offset_bins.flatten(1).tolist())
            if instruction.point_names:
                result['point_names'] = list(instruction.point_names)
            if 'points' in found:
                result['keypoints' if instruction.point_names else 'polygons'] = found.points.tolist()
            if 'mask_rles' in found:
                result['masks'] = [dict(rle, counts=rle['counts'].decode()) for rle in found.mask_rles]
        path, number = result['img_path'], self.num_predicted_imgs
        self.num_predicted_imgs += 1
        if pred_out_dir:
            name = Path(path).stem if path else f'{number:08d}'
            write_files({Path(pred_out_dir, 'preds', f'{name}.json'): result})
        return result


def _device_type(device: str) -> str:
    try:
        return torch.device(device).type
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is none, such as 'cpu' or 'cuda:0'") from error


def _write_tokens(class_tokens: list[int], offsets: list[list[int]]) -> list[str]:
    """The added tokens that the LLM predicted, one string per object."""
    return [' '.join([f'<c{k}>', *(f'<p{i}>' for i in row)]) for k, row in zip(class_tokens, offsets, strict=True)]


class _ImagesWithInstruction(Sequence):
    """Images with their instruction, as mmdet's loader takes them; frames are read one by one."""

    def __init__(self, images: Sequence[str | np.ndarray], fields: dict) -> None:
        self.images = images
        self.fields = fields

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        image = self.images[index]
        if image is None:  # the header of a video may state more frames than can be read
            raise IndexError(index)
        return dict(self.fields, **{'img_path' if isinstance(image, str) else 'img': image})


class _SizedIterable:
    """An iterable with a known length."""

    def __init__(self, items: Iterable, count: int) -> None:
        self.items = items
        self.count = count

    def __iter__(self) -> Iterator:
        return iter(self.items)

    def __len__(self) -> int:
        return self.count


class _UnlessInstructed(BaseTransform):
    """Applies an instruction transform to samples without an instruction."""

    def __init__(self, inner: BaseTransform) -> None:
        self.inner = inner

    def transform(self, results: dict) -> dict:
        return results if 'instruction' in results else self.inner(results)
