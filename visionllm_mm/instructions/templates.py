"""Wordings of the instructions, ours (the paper's section 3.2 describes the kind, not the words).

Placeholders: ``<image>`` where the image tokens go, ``<class>`` for the category set, ``<range>`` for the range of the
location tokens, ``<format>`` for the output format. The first wording of a task is the one that evaluation uses; the
image comes last in it, so that all of its text can be cached over a data set.
"""

DETECTION_TEMPLATES = (
    'Find every object of the category set <class> in the picture. Answer with <format> for each of them, '
    'offsets within range <range>. Picture: <image>',
    'Look at <image> and locate all instances of <class>. Write each one as <format>, '
    'with coordinates in range <range>.',
    'The image is <image>. Which objects of <class> does it show, and where? '
    'Use the format <format> and the range <range>.',
    'Given the categories <class>, mark each matching object of <image> by its box <format>. '
    'Location tokens span range <range>.',
    'Detect <class> in the photo <image>. Output one tuple <format> per object; the values lie within range <range>.',
    'Please list the boxes of all things in <image> that belong to one of these classes: <class>. '
    'Give them as <format> and keep to the range <range>.',
    'Object detection with the label set <class>, coordinate range <range> and answer format <format> '
    'for this view: <image>',
    '<image> Here is a scene. For any item whose type is listed in <class>, tell its class token and two corners, '
    '<format>, range <range>.',
    'As an annotator you know these labels: <class>. Draw a rectangle around every such object in <image>, '
    'noted as <format> in a range <range>.',
    'With range <range> and the notation <format>, report where members of <class> appear in this picture <image>.',
)
