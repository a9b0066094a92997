"""The planner's result as tables."""

from .measure import BESIDE_TENSORS


def table(rows: list[tuple], heads: tuple[str, ...]) -> str:
    """Columns as wide as they need to be, the first to the left, numbers to the right."""
    cells = [heads, *[tuple(str(cell) for cell in row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    return '\n'.join(
        '  '.join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def parameters_table(result: dict) -> str:
    """Millions of parameters by part."""
    counts = result['parameters']
    total = {key: sum(row[key] for row in counts.values()) for key in ('trained', 'frozen', 'bytes')}
    rows = [
        (
            part,
            f'{(row["trained"] + row["frozen"]) / 1e6:,.2f}',
            f'{row["trained"] / 1e6:,.2f}',
            f'{row["frozen"] / 1e6:,.2f}',
            f'{row["bytes"] / 2**30:.3f}',
        )
        for part, row in [*counts.items(), ('sum', total)]
    ]
    return table(rows, ('parameters', 'M', 'M trained', 'M frozen', 'GiB'))


def flops_table(result: dict) -> str:
    """10^9 operations per image by phase."""
    kinds = ('forward', 'backward', 'inference')
    flops = {name: row for name, row in result['flops'].items() if any(row.values())}
    total = {kind: sum(row[kind] for row in flops.values()) for kind in kinds}
    rows = [
        (name, *(f'{row[kind] / 1e9:,.2f}' for kind in kinds), f'{(row["forward"] + row["backward"]) / 1e9:,.2f}')
        for name, row in [*flops.items(), ('sum', total)]
    ]
    return table(rows, ('GFLOP per image', 'forward', 'backward', 'inference', 'training step'))


def memory_table(result: dict) -> str:
    """GiB of one GPU, and of a checkpoint."""
    memory, saved = result['memory'], result['checkpoint']
    rows = [
        ('weights and buffers', memory['weights'], ''),
        ('gradients', memory['gradients'], ''),
        ('optimizer states', memory['optimizer'], ''),
        ('gradient buckets (several GPUs)', memory['buckets'], ''),
        ('activations after the forward pass', memory['activations'], ''),
        ('peak of a training step', memory['train_peak'], memory['train_peak_at']),
        ('peak of inference', memory['inference_peak'], memory['inference_peak_at']),
        ('checkpoint, weights', saved['weights'], ''),
        ('its optimizer states, to resume', saved['optimizer'], ''),
    ]
    return table(
        [(name, f'{size / 2**30:.3f}', where) for name, size, where in rows], ('memory of one GPU', 'GiB', 'where')
    )


def comparison(result: dict) -> str:
    """Predicted and measured peak of a training step, MiB, and its time, s."""
    peak, measured = result['memory']['train_peak'], result['measured']
    lines = [
        ('peak, live tensors, MiB', peak / 2**20, measured['tracked'] / 2**20, '.1f'),
        ('peak, resident size, MiB', (peak + BESIDE_TENSORS) / 2**20, measured['resident'] / 2**20, '.1f'),
        ('time of a step, s', result['seconds'], measured['seconds'], '.3f'),
    ]
    rows = [
        (name, format(predicted, form), format(found, form), f'{100 * (predicted / found - 1):+.1f} %')
        for name, predicted, found, form in lines
    ]
    return table(rows, ('training step', 'predicted', 'measured', 'difference'))
