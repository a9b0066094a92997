"""Refuses data whose classes don't fit before hours are spent."""

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...datasets.coco_classes import read_class_names
from ...instructions import check_class_names


@HOOKS.register_module()
class CheckClassNamesHook(Hook):
    """Compares the class names of every COCO-format data set with its annotation file.

    mmdet numbers classes in the order of the file, whatever the order of ``classes``, and passes silently over names
    that the file lacks; both would teach a model that reads names the wrong ones.

    Raises:
        ValueError: before training or testing starts, when names are missing from the file, are in another order, or
            are more than the model has class tokens.
    """

    def before_train(self, runner: Runner) -> None:
        self._check(runner, runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            self._check(runner, runner.val_loop.dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        for loop in getattr(runner.test_loop, 'loops', dict(only=runner.test_loop)).values():
            self._check(runner, loop.dataloader.dataset)

    def _check(self, runner: Runner, dataset) -> None:
        for part in getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', dataset)]:
            if not str(getattr(part, 'ann_file', '')).endswith('.json') or 'classes' not in part.metainfo:
                continue
            names, in_file = list(part.metainfo['classes']), list(read_class_names(part.ann_file))
            known = [name for name in in_file if name in names]
            if known != names:
                missing = [name for name in names if name not in in_file]
                problem = f'{missing} are not in it' if missing else 'they stand in another order'
                raise ValueError(f'the classes {names} of the data set do not match {part.ann_file}: {problem}. Its '
                                 f"categories are {in_file}: set metainfo=dict(classes=...) to these, in this order")
            model = getattr(runner.model, 'module', runner.model)
            if hasattr(model, 'vocabulary') and part.test_mode:
                transforms = getattr(getattr(part, 'pipeline', None), 'transforms', ())
                grouped = any(getattr(transform, 'grouped', False) for transform in transforms)
                check_class_names(names, len(names) if grouped else model.vocabulary.num_classes)
