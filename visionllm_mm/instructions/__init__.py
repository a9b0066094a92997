"""Instructions as plain Python: vocabulary, wordings, builder and parser. Imports no model and no data set."""

from .boundary import decode_boundary, encode_boundary
from .builder import (
    build_instruction,
    build_text_instruction,
    check_class_names,
    sample_class_set,
    write_class_set,
    write_format,
)
from .parser import Instruction, parse_instruction
from .templates import (
    CAPTION_TEMPLATES,
    DETECTION_TEMPLATES,
    GROUNDING_TEMPLATES,
    KEYPOINT_TEMPLATES,
    QUESTION_TEMPLATES,
    SEGMENTATION_TEMPLATES,
)
from .vocabulary import IMAGE_PLACEHOLDER, Vocabulary, point_format

__all__ = [
    'build_instruction', 'build_text_instruction', 'CAPTION_TEMPLATES', 'check_class_names', 'decode_boundary',
    'DETECTION_TEMPLATES', 'encode_boundary', 'GROUNDING_TEMPLATES', 'IMAGE_PLACEHOLDER', 'Instruction',
    'KEYPOINT_TEMPLATES', 'parse_instruction', 'point_format', 'QUESTION_TEMPLATES', 'sample_class_set',
    'SEGMENTATION_TEMPLATES', 'Vocabulary', 'write_class_set', 'write_format'
]
