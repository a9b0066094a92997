"""An mmdet inferencer for all tasks, by instruction."""

import copy
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.fileio import get
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
from ..image_files import ImageFileError
from ..instructions import IMAGE_PLACEHOLDER, Instruction, check_text, parse_instruction, shorten
from ..visualization import DRAWING
from .images import ImageInput, is_video
from .inputs import NamedImages, SizedIterable, read_inputs, skip


class VisionLLMInferencer(DetInferencer):
    """mmdet's DetInferencer for any instruction: written by the user, or by one of the methods for tasks.

    Images are paths, folders, arrays (H, W, 3; uint8, BGR as mmdet has them), PIL images, or lists of these, or the
    path of a video, whose frames are images. Every call returns mmdet's ``dict(predictions=[...],
    visualization=[...])``, one prediction per image: a plain dict with

    * ``img_path``, None for arrays, and ``ori_shape``, its height and width;
    * ``instruction``, the text, and ``output_format``, as it was parsed: ``<cls> <x1> <y1> <x2> <y2>``, ``<bos>``;
    * for ``<bos>``: ``text``, the generated text;
    * else ``class_names``, the class set, and best first: ``bboxes`` (xyxy, px of the original image), ``scores``,
      ``labels`` (indices into the class set), ``label_names``, ``tokens`` (predicted by the LLM:
      ``<c0> <p-9> <p-12> <p9> <p12>``); for polygons ``polygons`` ([[x, y], ...], px) and ``masks`` (COCO's RLE), for
      named points ``point_names`` and ``keypoints`` ([[x, y], ...], px).

    All calls take the keyword arguments of mmdet's ``DetInferencer.__call__``, such as ``batch_size``, ``out_dir``,
    ``pred_score_thr`` (the lowest score that is rendered) and ``return_vis``. Pictures that are rendered into
    ``out_dir`` are returned only with ``return_vis=True``: those of a video may not fit into memory. Files in
    ``out_dir`` are named as the images, by their paths below the folder that the images of the call share. Without an
    instruction it works as mmdet's inferencer: it detects the classes of ``texts='a . b', custom_entities=True``, or
    those of the config. Calls from several threads draw one after the other.

    With ``strict=False`` images and videos that can't be read or resized are left out, and the result has their list:
    ``skipped=[dict(img_path=..., reason=...), ...]``. Otherwise the first of them raises an error.

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
        self._numbers = itertools.count()

    def __call__(self, inputs: ImageInput | Sequence[ImageInput], instruction: str | None = None, **kwargs) -> dict:
        """Gives images and an instruction to the model.

        Args:
            inputs: images.
            instruction: text with ``<image>`` where the image tokens go. It states the class set as
                ``{"circle": <c0>, "red star": <c1>}`` and the format as ``(c, x1, y1, x2, y2)``, or asks for text.
            kwargs: see mmdet's DetInferencer.

        Raises:
            ValueError: when the instruction can't be parsed or is too long, or a file is no image.
            TypeError: for an image of another type.
            FileNotFoundError: when there is no such image.
        """
        if instruction is not None:
            return self._ask(inputs, dict(instruction=instruction), **kwargs)
        if kwargs.get('texts') is None:
            return self._ask(inputs, {}, **kwargs)
        if isinstance(inputs, str | Path) and is_video(inputs):
            raise ValueError(f'texts= is for images, and {inputs} is a video: ask it with detect() or instruction=')
        return super().__call__(inputs, **kwargs)

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
        return SizedIterable(super().preprocess(inputs, batch_size, **kwargs), math.ceil(len(inputs) / batch_size))

    def _get_chunk_data(self, inputs: Iterable, chunk_size: int) -> Iterator[list[tuple]]:
        """Chunks of (image, loaded sample); each sample has the names of its files in ``out_dir``."""
        if not isinstance(inputs, NamedImages):
            inputs = NamedImages(inputs)
        chunk, taken = [], {answer for _, answer in inputs.names.values()}
        for item, names in inputs:
            image = item.get('img', item.get('img_path'))
            try:
                loaded = self.pipeline(copy.deepcopy(item))
            except (ImageFileError, OSError) as error:
                skip(inputs.skipped, item.get('img_path'), error)
                continue
            number = next(number for number in map('{:08d}'.format, self._numbers) if number not in taken)
            picture, answer = names or (f'{number}.jpg', number)
            loaded['data_samples'].set_metainfo(dict(picture_name=picture, answer_name=answer))
            chunk.append((image, loaded))
            if len(chunk) == chunk_size:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def visualize(
        self,
        inputs: Sequence[str | np.ndarray],
        preds: Sequence[DetDataSample],
        return_vis: bool = False,
        show: bool = False,
        no_save_vis: bool = False,
        img_out_dir: str = '',
        **kwargs,
    ) -> list[np.ndarray] | None:
        """Renders predictions, see mmdet's; pictures that are only written to files are not kept."""
        folder = '' if no_save_vis else img_out_dir
        if not (return_vis or show or folder):
            return None
        pictures = []
        for image, sample in zip(inputs, preds, strict=True):
            drawn = mmcv.imfrombytes(get(image), channel_order='rgb') if isinstance(image, str) else image[..., ::-1]
            file = str(Path(folder, 'vis', sample.picture_name)) if folder else None
            with DRAWING:
                self.visualizer.add_datasample(
                    sample.picture_name, drawn, sample, draw_gt=False, show=show, out_file=file, **kwargs
                )
                if return_vis:
                    pictures.append(self.visualizer.get_image())
        return pictures if return_vis else None

    def _ask(self, inputs: ImageInput | Sequence[ImageInput], fields: dict, strict: bool = True, **kwargs) -> dict:
        texts = [text for text, _ in fields.get('class_groups', ())]
        if 'instruction' in fields:
            texts.append(fields['instruction'])
        for text in texts:
            check_text(text, 'the instruction')
        self.model.check_instructions(texts)
        skipped = None if strict else []
        images = NamedImages(read_inputs(inputs, self.max_pixels, skipped), fields, skipped)
        result = super().__call__(images, **kwargs)
        return result if strict else result | dict(skipped=skipped)

    def _inputs_to_list(self, inputs: ImageInput | Sequence[ImageInput]) -> Sequence[str | np.ndarray]:
        return inputs if isinstance(inputs, NamedImages) else read_inputs(inputs, self.max_pixels)

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
            result['class_names'] = self._class_names(data_sample, instruction)
            result['tokens'] = _write_tokens(found.class_tokens.tolist(), found.offset_bins.flatten(1).tolist())
            if instruction.point_names:
                result['point_names'] = list(instruction.point_names)
            if 'points' in found:
                result['keypoints' if instruction.point_names else 'polygons'] = found.points.tolist()
            if 'mask_rles' in found:
                result['masks'] = [dict(rle, counts=rle['counts'].decode()) for rle in found.mask_rles]
        if pred_out_dir:
            write_files({Path(pred_out_dir, 'preds', f'{data_sample.answer_name}.json'): result})
        return result

    def _class_names(self, sample: DetDataSample, instruction: Instruction) -> list[str]:
        """The class set; where it is larger than an instruction can name, that of all groups."""
        sets = [
            (parse_instruction(text, self.model.vocabulary).class_names, labels)
            for text, labels in sample.get('class_groups', ())
        ] or [(instruction.class_names, sample.get('class_labels') or range(len(instruction.class_names)))]
        names = {label: name for names, labels in sets for name, label in zip(names, labels, strict=True)}
        return [names[label] for label in sorted(names)]


def _device_type(device: str) -> str:
    try:
        return torch.device(device).type
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is none, such as 'cpu' or 'cuda:0'") from error


def _write_tokens(class_tokens: list[int], offsets: list[list[int]]) -> list[str]:
    """The added tokens that the LLM predicted, one string per object."""
    return [' '.join([f'<c{k}>', *(f'<p{i}>' for i in row)]) for k, row in zip(class_tokens, offsets, strict=True)]


class _UnlessInstructed(BaseTransform):
    """Applies an instruction transform to samples without an instruction."""

    def __init__(self, inner: BaseTransform) -> None:
        self.inner = inner

    def transform(self, results: dict) -> dict:
        return results if 'instruction' in results else self.inner(results)
