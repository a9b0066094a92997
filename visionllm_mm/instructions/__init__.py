"""Instructions as plain Python: vocabulary, templates, builder and parser. Imports no model and no data set."""

from .builder import (
    build_instruction,
    build_text_instruction,
    sample_class_set,
    write_class_set,
    write_format,
)
from .exchange import exchange_words
from .expansion import choose_templates, expand_templates
from .names import check_class_names, check_names, check_text, shorten, similar_names, warn_of_similar_names
from .parser import Instruction, parse_instruction, states_format
from .polygons import decode_polygon, encode_polygon
from .scramble import resample_format, scramble_instruction, separate_notation
from .templates import (
    CAPTION_TEMPLATES,
    DETECTION_TEMPLATES,
    GROUNDING_TEMPLATES,
    KEYPOINT_TEMPLATES,
    QUESTION_TEMPLATES,
    SEGMENTATION_TEMPLATES,
    TASK_TEMPLATES,
)
from .vocabulary import IMAGE_PLACEHOLDER, Vocabulary, point_format

__all__ = [
    'build_instruction',
    'build_text_instruction',
    'CAPTION_TEMPLATES',
    'check_class_names',
    'check_names',
    'check_text',
    'choose_templates',
    'decode_polygon',
    'DETECTION_TEMPLATES',
    'encode_polygon',
    'exchange_words',
    'expand_templates',
    'GROUNDING_TEMPLATES',
    'IMAGE_PLACEHOLDER',
    'Instruction',
    'KEYPOINT_TEMPLATES',
    'parse_instruction',
    'point_format',
    'QUESTION_TEMPLATES',
    'resample_format',
    'sample_class_set',
    'scramble_instruction',
    'separate_notation',
    'SEGMENTATION_TEMPLATES',
    'shorten',
    'similar_names',
    'states_format',
    'TASK_TEMPLATES',
    'Vocabulary',
    'warn_of_similar_names',
    'write_class_set',
    'write_format',
]
