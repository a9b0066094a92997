"""Measures whether the LLM reads the output formats of instructions as the rules do.

    python tools/evaluate_formats.py CONFIG CHECKPOINT

It reads the templates of the package, then templates that were held out of training, each filled in at random several
times. It prints the share of correct readings per task, and the misread instructions.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from _launch import add_shared_arguments, import_plugin, load_config, require_file

HELD_OUT = [str(Path(__file__).with_name(name)) for name in ('heldout_templates.txt', 'heldout_templates_2.txt')]
EXPRESSION = 'the large red star left of the circle'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--templates',
        nargs='+',
        default=HELD_OUT,
        metavar='FILE',
        help='text files, a template with placeholders per line',
    )
    parser.add_argument('--repeats', type=int, default=3, help='fillings of each template (default: 3)')
    parser.add_argument('--work-dir', help='folder for logs')
    add_shared_arguments(parser, launcher=False)
    args = parser.parse_args()
    require_file(args.config, 'config')
    require_file(args.checkpoint, 'checkpoint')
    for path in args.templates:
        require_file(path, 'list of templates')
    return args


def fill_template(template: str, classes: Sequence[str], vocabulary, rng) -> tuple[str, int]:
    """A template filled in at random, and the number of points that it asks for; 0: it asks for text."""
    from visionllm_mm.instructions import build_instruction, build_text_instruction, point_format
    from visionllm_mm.miniscenes import KEYPOINTS

    if '<class>' not in template:
        return build_text_instruction(template, 'Is there a star?' if '<question>' in template else None), 0
    count = int(rng.integers(1, min(len(classes), vocabulary.num_classes) + 1))
    names = [classes[i] for i in rng.permutation(len(classes))[:count]]
    if '<points>' in template:
        points = KEYPOINTS[: int(rng.integers(1, min(len(KEYPOINTS), vocabulary.max_points) + 1))]
        return build_instruction(template, names, point_format(len(points)), vocabulary, points), len(points)
    num_points = int(rng.integers(2, vocabulary.max_points + 1))
    return build_instruction(template, names, point_format(num_points), vocabulary), num_points


def read_templates(path: str | Path) -> list[str]:
    """The lines of a file but for blank ones and comments (#)."""
    lines = Path(path).read_text(encoding='utf-8').splitlines()
    return [line for line in lines if line.strip() and not line.startswith('#')]


def read(reader, templates: Sequence[str], classes: Sequence[str], repeats: int) -> dict[str, list[str]]:
    """Template -> a line for each of its fillings that is misread."""
    import numpy as np

    rng = np.random.default_rng(0)
    wrong = {template: [] for template in templates}
    fillings = [
        (template, *fill_template(template, classes, reader.vocabulary, rng))
        for template in templates
        for _ in range(repeats)
    ]
    for start in range(0, len(fillings), 16):
        part = fillings[start : start + 16]
        for (template, text, count), found in zip(part, reader.generate([text for _, text, _ in part]), strict=True):
            if (len(found) - 1) // 2 != count:
                wrong[template].append(f'{(len(found) - 1) // 2} points instead of {count}: {text}')
    return wrong


def summary(name: str, wrong: dict[str, list[str]], repeats: int) -> str:
    """A line with the share of correct readings of some templates."""
    share = 1 - sum(map(len, wrong.values())) / max(1, len(wrong) * repeats)
    return f'{name}: {share:.1%} of {len(wrong)} templates x {repeats}'


def main() -> None:
    args = parse_args()
    import_plugin()
    from mmengine.runner import Runner

    from visionllm_mm.instructions import TASK_TEMPLATES

    cfg = load_config(args)
    cfg.load_from = args.checkpoint
    cfg.model.format_source = 'llm'
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    reader = runner.model.eval().format_reader
    classes = runner.test_dataloader.dataset.metainfo['classes']
    files = [(Path(path).name, read_templates(path)) for path in args.templates]
    for name, templates in [*TASK_TEMPLATES.items(), *files]:
        wrong = read(reader, templates, [*classes, EXPRESSION], args.repeats)
        print(summary(name, wrong, args.repeats))
        for line in (line for lines in wrong.values() for line in lines):
            print(f'  {line}')
        # A text without a class set can only ask for text: there the grammar leaves the LLM no choice.
        for kind, with_set in (('with a class set', True), ('without', False)):
            some = {key: lines for key, lines in wrong.items() if ('<class>' in key) == with_set}
            if 0 < len(some) < len(templates):
                print(summary(f'  {name}, {kind}', some, args.repeats))


if __name__ == '__main__':
    main()
