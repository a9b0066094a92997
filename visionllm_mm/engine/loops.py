"""Testing of all tasks with one set of weights in one run."""

from collections.abc import Mapping
from pathlib import Path

from mmengine.dist import get_world_size, is_main_process
from mmengine.fileio import dump
from mmengine.registry import LOOPS
from mmengine.runner import BaseLoop

from .tolerant_loops import NothingAnsweredError, TolerantTestLoop


class TasksFailedError(RuntimeError):
    """Tasks that could not be tested; the message has their reasons."""


@LOOPS.register_module()
class MultiTaskTestLoop(BaseLoop):
    """Tests task after task and ends with one table.

    ``test_dataloader`` and ``test_evaluator`` of the config are those of the first task, as mmdet's inference API wants
    them; the other tasks are listed here.

    Args:
        runner: the Runner.
        dataloader: of the first task; from the Runner.
        evaluator: of the first task; from the Runner.
        tasks: by name, ``dict(dataloader=..., evaluator=...)`` of each other task.
        first_task: name of the first task.
        references: by name of a metric (``detection/coco/bbox_mAP``), what to print beside it, e.g.
            ``dict(paper=0.446, trivial=0.0)``. Only these metrics are in the table; None: all.
    """

    def __init__(
        self,
        runner,
        dataloader,
        evaluator,
        tasks: Mapping[str, Mapping],
        first_task: str = 'detection',
        references: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        super().__init__(runner, dataloader)
        self.loops = {first_task: TolerantTestLoop(runner, self.dataloader, evaluator)}
        for name, parts in tasks.items():
            self.loops[name] = TolerantTestLoop(runner, parts['dataloader'], parts['evaluator'])
        self.evaluator = self.loops[first_task].evaluator
        self.references = references

    def run(self) -> dict[str, float]:
        """Metrics of all tasks, each named after its task, ``segmentation/coco/segm_mAP``; also in the log folder.

        Raises:
            TasksFailedError: when tasks could not be tested; behind the table of the others. With several processes the
                first error ends all.
        """
        metrics, failed, logged = {}, {}, self.runner.message_hub.log_scalars
        drawers = [(hook, hook.test_out_dir) for hook in self.runner.hooks if getattr(hook, 'test_out_dir', None)]
        for task, loop in self.loops.items():
            for hook, folder in drawers:  # pictures of one image, task by task
                hook.test_out_dir = str(Path(folder) / task)
            for name in [name for name in logged if name.startswith('test/')]:
                del logged[name]  # else the log of this task repeats those of the tasks before
            self.runner.logger.info(f'testing {task}')
            self.runner.visualizer.dataset_meta = loop.dataloader.dataset.metainfo
            self.dataloader = loop.dataloader  # the log counts its batches
            try:
                metrics |= {f'{task}/{name}': value for name, value in loop.run().items()}
            except Exception as error:
                if get_world_size() > 1:  # the other processes wait for this one within the task
                    raise
                # A traceback shows nothing more of an error of the data.
                trace = None if isinstance(error, NothingAnsweredError) else error
                self.runner.logger.error(f'{task} could not be tested; the other tasks are: {error}', exc_info=trace)
                failed[task] = error
        self.runner.logger.info('\n' + results_table(metrics, self.references))
        if is_main_process():
            # The logger has written the last task's metrics there, without the name of the task.
            dump(metrics, Path(self.runner.log_dir) / f'{self.runner.timestamp}.json')
        if failed:
            reasons = '; '.join(f'{task}: {error}' for task, error in failed.items())
            raise TasksFailedError(f'{len(failed)} of {len(self.loops)} tasks could not be tested; {reasons}')
        return metrics


def results_table(metrics: Mapping[str, float], references: Mapping[str, Mapping[str, float]] | None) -> str:
    """Metrics beside what they are compared with, one per line; ``-`` where nothing is known or was measured."""
    names = list(metrics if references is None else references)
    columns = sorted({column for row in (references or {}).values() for column in row})
    rows = [['metric', 'here', *columns]]
    for name in names:
        # A metric may be labelled further, as "CIDEr (simple tokenizer)" is.
        measured = next((found for found in metrics if found == name or found.startswith(f'{name} (')), name)
        values = [metrics.get(measured), *((references or {}).get(name, {}).get(column) for column in columns)]
        rows.append([measured, *('-' if value is None else f'{value:.3f}' for value in values)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
