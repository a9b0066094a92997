"""Files that are there whole or not at all."""

import json
import os
import threading
from pathlib import Path

import torch


def write_files(contents: dict[Path, object]) -> None:
    """Writes files all at once, .json as text and others by torch: an interrupted run leaves none that is cut short."""
    partial = {path: path.with_name(f'.{path.name}.{os.getpid()}.{threading.get_ident()}') for path in contents}
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == '.json':
                partial[path].write_text(json.dumps(content, indent=1))
            else:
                torch.save(content, partial[path])
        for path in contents:
            partial[path].replace(path)
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)
