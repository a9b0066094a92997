"""Make MiniScenes, the synthetic data set (docs/miniscenes.md), on all cores in under a minute."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

SECONDS_BETWEEN_REPORTS = 3.0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('data/miniscenes'),
        metavar='FOLDER',
        help='folder of the data set (default: %(default)s)',
    )
    parser.add_argument(
        '--num-train',
        type=_integer_from(1),
        default=4000,
        metavar='N',
        help='number of training images (default: %(default)s)',
    )
    parser.add_argument(
        '--num-val',
        type=_integer_from(1),
        default=500,
        metavar='N',
        help='number of validation images (default: %(default)s)',
    )
    parser.add_argument(
        '--seed', type=_integer_from(0), default=0, help='another seed gives other scenes (default: %(default)s)'
    )
    parser.add_argument(
        '--size',
        type=_integer_from(64),
        default=128,
        metavar='PX',
        help='width and height of the images (default: %(default)s)',
    )
    return parser.parse_args()


def _integer_from(least: int):
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < least:
            raise argparse.ArgumentTypeError(f'needs a whole number >= {least}, got {text!r}')
        return value

    return parse


class Progress:
    """Prints at intervals the progress and the time left."""

    def __init__(self, num_images: dict[str, int]):
        self.num_images = num_images
        self.done = dict.fromkeys(num_images, 0)
        self.start = self.last_report = time.monotonic()

    def __call__(self, split: str, done: int) -> None:
        self.done[split] = done
        now = time.monotonic()
        if now - self.last_report < SECONDS_BETWEEN_REPORTS:
            return
        self.last_report = now
        finished, total = sum(self.done.values()), sum(self.num_images.values())
        left = (now - self.start) / finished * (total - finished)
        print(f'  {finished}/{total} images, {left:.0f} s left', flush=True)


def main() -> int:
    args = parse_arguments()
    # Imported here, so that `-h` and mistyped arguments are answered at once.
    miniscenes = import_miniscenes()
    arguments = miniscenes.DatasetArguments(args.num_train, args.num_val, args.seed, args.size)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: clean up, then stop
    try:
        if miniscenes.find_existing(args.out, arguments):
            print(f'{args.out} already holds this data set; nothing to do.')
            return 0
        print(f'Making MiniScenes in {args.out}', flush=True)
        progress = Progress(arguments.num_images)
        description = miniscenes.write_dataset(args.out, arguments, progress)
    except miniscenes.FolderInUseError as error:
        print(f'error: {error}.\nDelete the folder or choose another with --out.', file=sys.stderr)
        return 1
    except OSError as error:
        print(f'error: cannot write to {args.out}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\ninterrupted; nothing was left behind', file=sys.stderr)
        return 130
    print_summary(args.out, arguments, description, time.monotonic() - progress.start)
    return 0


def import_miniscenes():
    try:
        from visionllm_mm import miniscenes
    except ModuleNotFoundError as error:
        if error.name != 'visionllm_mm':
            raise
        # Not installed: take the package beside this tools folder.
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
        from visionllm_mm import miniscenes
    return miniscenes


def print_summary(out: Path, arguments, description: dict, seconds: float) -> None:
    total = sum(arguments.num_images.values())
    baselines = description['baselines_val']
    print(
        f'{arguments.num_train} training and {arguments.num_val} validation images of '
        f'{arguments.size} px in {seconds:.1f} s ({1000 * seconds / total:.1f} ms each)'
    )
    print(
        f'trivial baselines on val: most frequent answer '
        f'{baselines["most_frequent_answer"]["all"]:.3f}, grounding by a random object '
        f'{baselines["random_object"].get("all", 0):.3f}, box AP of random boxes '
        f'{baselines["random_boxes_ap"]:.4f}'
    )
    print(f'fingerprint {description["fingerprint"][:16]}; look at {out / "contact_sheet.png"}')


if __name__ == '__main__':
    sys.exit(main())
