"""Content hash of a pretrained model's files that is quick for many gigabytes."""

import hashlib
import json
from pathlib import Path
from typing import BinaryIO

from transformers.utils import cached_file

RUN, RUNS_PER_TENSOR, RUNS_PER_FILE = 256, 16, 4096


def weights_digest(path: str) -> str:
    """SHA-256 of what identifies the weights of a Hugging Face model, 32 hexadecimal digits.

    Of safetensors files, in the order of the tensors' names: name, dtype, shape, and 16 runs of 256 bytes at equal
    distances over the tensor (all of it where it is no larger than 4096 bytes). So the hash does not depend on how the
    tensors are spread over files, and not on the dtype that they are loaded with. Of other files: name, size and 4096
    such runs. It tells models and their fine-tuned versions apart; a change of a few numbers in a large tensor may lie
    between the runs.

    Args:
        path: folder, file, or the hub name of a model that was loaded before.

    Raises:
        FileNotFoundError: when there are no files of weights.
    """
    digest = hashlib.sha256()
    for file in (files := _weight_files(path)):
        if file.suffix != '.safetensors':
            size = file.stat().st_size
            digest.update(f'{file.name} {size}\n'.encode())
            with file.open('rb') as stream:
                _add_runs(digest, stream, 0, size, RUNS_PER_FILE)
    tensors = {}
    for file in files:
        if file.suffix == '.safetensors':
            tensors |= _tensors(file)
    for name, (file, dtype, shape, start, size) in sorted(tensors.items()):
        digest.update(f'{name} {dtype} {shape}\n'.encode())
        with file.open('rb') as stream:
            _add_runs(digest, stream, start, size, RUNS_PER_TENSOR)
    return digest.hexdigest()[:32]


def _weight_files(path: str) -> list[Path]:
    """The files that transformers loads, in its order of preference."""
    folder = Path(path).expanduser()
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        folder = Path(cached_file(path, 'config.json')).parent
    for name in ('model.safetensors', 'pytorch_model.bin'):
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f'{name}.index.json'
        if index.is_file():
            return [folder / part for part in sorted(set(json.loads(index.read_text())['weight_map'].values()))]
    found = sorted(folder.glob('*.gguf'))
    if not found:
        raise FileNotFoundError(
            f'{folder} has no weights to name in checkpoints: neither model.safetensors nor '
            'pytorch_model.bin, whole or in parts, nor a .gguf file'
        )
    return found


def _tensors(file: Path) -> dict[str, tuple[Path, str, list[int], int, int]]:
    """By name: file, dtype, shape, first byte and number of bytes, from the header of a safetensors file."""
    with file.open('rb') as stream:
        length = int.from_bytes(stream.read(8), 'little')
        header = json.loads(stream.read(length))
    header.pop('__metadata__', None)
    return {
        name: (
            file,
            entry['dtype'],
            entry['shape'],
            8 + length + entry['data_offsets'][0],
            entry['data_offsets'][1] - entry['data_offsets'][0],
        )
        for name, entry in header.items()
    }


def _add_runs(digest, stream: BinaryIO, start: int, size: int, count: int) -> None:
    if size <= count * RUN:
        stream.seek(start)
        digest.update(stream.read(size))
        return
    for i in range(count):
        # The last run ends with the last byte.
        stream.seek(start + i * (size - RUN) // (count - 1))
        digest.update(stream.read(RUN))
