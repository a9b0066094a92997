"""Instructions as plain Python: vocabulary, wordings, builder and parser. Imports no model and no data set."""

from .builder import (
    build_instruction,
    check_class_names,
    sample_class_set,
    write_class_set,
    write_format,
)
from .parser import Instruction, parse_instruction
from .templates import DETECTION_TEMPLATES
from .vocabulary import IMAGE_PLACEHOLDER, Vocabulary, point_format

__all__ = [
    'DETECTION_TEMPLATES', 'IMAGE_PLACEHOLDER', 'Instruction', 'Vocabulary', 'build_instruction', 'check_class_names',
    'parse_instruction', 'point_format', 'sample_class_set', 'write_class_set', 'write_format'
]
