"""Writes the values of the pins anew, all or some kinds: ``python -m tests.pins.record [state_dicts losses ...]``."""

import json
import sys
import time

from tests.pins.measure import FOLDER, PINS, rounded


def main() -> None:
    for kind in sys.argv[1:] or PINS:
        measure, names = PINS[kind]
        start = time.time()
        values = {name: rounded(measure(name)) for name in names}
        (FOLDER / f'{kind}.json').write_text(json.dumps(values, indent=1) + '\n')
        print(f'{kind}: {len(values)} in {time.time() - start:.0f} s', file=sys.stderr)


if __name__ == '__main__':
    main()
