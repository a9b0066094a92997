"""Checks before a run that classes and instructions fit the model."""

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from ...datasets.coco_classes import compare_class_names, has_class_names, plain_datasets, report_lines
from ...datasets.samplers import OneTaskSampler
from ...datasets.transforms import GroundingInstruction, QuestionInstruction
from ...datasets.transforms.set_instructions import SetInstruction
from ...instructions import check_class_names, warn_of_similar_names


@HOOKS.register_module()
class CheckClassNamesHook(Hook):
    """Compares the class names of COCO-format data sets with their annotation files, and instructions with the model.

    It logs what of the annotation files of own data (:class:`OwnCocoDataset`) is used and what is left out.

    mmdet numbers classes in the order of the file, whatever the order of ``classes``, and silently skips names that the
    file lacks. In both cases a model that reads names would learn wrong ones.

    Checkpoints of a training on several data sets keep the names of the first one: mmengine would keep a list, which
    mmdet's inference API can't read.

    Raises:
        ValueError: before training or testing starts, when names are missing from the file, are in another order, or
            are more than the model has class tokens; or when a template with its longest class set, or with the longest
            question or expression of the training, is too long for the text encoder or the LLM; or when batches would
            mix tasks.
    """

    def before_train(self, runner: Runner) -> None:
        loader = runner.train_dataloader
        if isinstance(loader.sampler, OneTaskSampler) and loader.sampler.batch_size != loader.batch_size:
            raise ValueError(
                f'train_dataloader.batch_size is {loader.batch_size}, but that of its sampler is '
                f'{loader.sampler.batch_size}: set both to one number, or batches mix tasks'
            )
        self._check(runner, runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            self._check(runner, runner.val_loop.dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        for loop in getattr(runner.test_loop, 'loops', dict(only=runner.test_loop)).values():
            self._check(runner, loop.dataloader.dataset)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        meta = checkpoint['meta']
        if isinstance(meta.get('dataset_meta'), list):
            meta['dataset_meta'] = meta['dataset_meta'][0]

    def _check(self, runner: Runner, dataset) -> None:
        model = getattr(runner.model, 'module', runner.model)
        compare_class_names(dataset)
        for line in report_lines(dataset):
            print_log(line, logger='current')
        for part in plain_datasets(dataset) if hasattr(model, 'vocabulary') else ():
            if has_class_names(part):
                self._check_instructions(model, part, list(part.metainfo['classes']))
            elif not getattr(part, 'test_mode', True):
                self._check_texts(model, part)

    @staticmethod
    def _check_texts(model: nn.Module, dataset) -> None:
        """Checks the texts that samples bring; while evaluating, a text that is too long counts as a failure."""
        for transform in getattr(getattr(dataset, 'pipeline', None), 'transforms', ()):
            key = {GroundingInstruction: 'text', QuestionInstruction: 'question'}.get(type(transform))
            texts = (
                [text for text in (dataset.get_data_info(i).get(key) for i in range(len(dataset))) if text]
                if key
                else ()
            )
            if texts:
                model.check_instructions(transform.longest_instructions([max(texts, key=len)]))

    @staticmethod
    def _check_instructions(model: nn.Module, dataset, names: list[str]) -> None:
        transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
        warn_of_similar_names(names)
        if dataset.test_mode:
            grouped = any(getattr(transform, 'grouped', False) for transform in transforms)
            check_class_names(names, None if grouped else model.vocabulary.num_classes)
        for transform in transforms:
            if isinstance(transform, SetInstruction):
                class_names = names if getattr(dataset, 'return_classes', False) else transform.classes
                model.check_instructions(transform.longest_instructions(class_names) if class_names else [])
