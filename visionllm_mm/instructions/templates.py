"""Templates of the instructions, written for this project (section 3.2 of the paper describes their kind alone).

Placeholders: ``<image>`` where the image tokens go, ``<class>`` for the category set, ``<range>`` for the range of the
location tokens, ``<format>`` for the output format, ``<points>`` for the names of keypoints, ``<question>`` for a
question. The first template of a task is the one that evaluation uses; the image comes last
in it, so that all of its text can be cached over a data set.
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
    'Boxes of <class> in <image>, please: <format>, range <range>.',
    'Search <image> for each of <class> and note the corners of what you find as <format>, range <range>.',
)

SEGMENTATION_TEMPLATES = (
    'Outline every object of the category set <class> in the picture. Answer with <format> for each of them: its class '
    'and boundary points in clockwise order, offsets within range <range>. Picture: <image>',
    'Look at <image> and trace the contour of all instances of <class>. Write each one as <format>, '
    'with coordinates in range <range>.',
    'The image is <image>. Which objects of <class> does it show, and what is their exact shape? '
    'Use the format <format> and the range <range>.',
    'Given the categories <class>, mark each matching object of <image> by a polygon <format>. '
    'Location tokens span range <range>.',
    'Segment <class> in the photo <image>. Output one polygon <format> per object; values lie within range <range>.',
    'Please list the outlines of all things in <image> that belong to one of these classes: <class>. '
    'Give them as <format> and keep to the range <range>.',
    'Instance segmentation with the label set <class>, coordinate range <range> and answer format <format> '
    'for this view: <image>',
    '<image> Here is a scene. For any item whose type is listed in <class>, tell its class token and the points around '
    'it, <format>, range <range>.',
    'As an annotator you know these labels: <class>. Cut every such object out of <image> along its edge, '
    'noted as <format> in a range <range>.',
    'With range <range> and the notation <format>, report the silhouettes of members of <class> in the view <image>.',
    'Separate each <class> from the background of <image>. Follow its border clockwise from the right '
    'and give <format>, range <range>.',
    'What region does each object cover? Consider only <class>, name its border points as <format> with values in '
    'range <range>, and look here: <image>',
)

GROUNDING_TEMPLATES = (
    'Find the one thing that is described as <class>. Answer with <format>, offsets within range <range>. '
    'Picture: <image>',
    'Look at <image> and point out what is meant by <class>. Write it as <format>, with coordinates in range <range>.',
    'The image is <image>. Where is the object that fits the words <class>? '
    'Use the format <format> and the range <range>.',
    'Someone refers to <class>. Mark this object of <image> by its box <format>. Location tokens span range <range>.',
    'Locate <class> in the photo <image>. Output one tuple <format>; the values lie within range <range>.',
    'Please give the box of whatever the phrase <class> refers to in <image>, as <format>. Keep to the range <range>.',
    'Visual grounding of the expression <class>, coordinate range <range> and answer format <format> for this view: '
    '<image>',
    '<image> Here is a scene. Tell where the thing called <class> is by two corners, <format>, range <range>.',
    'As an annotator you are told <class>. Draw a rectangle around exactly that object in <image>, noted as <format> '
    'in a range <range>.',
    'With range <range> and the notation <format>, report the place of <class> in this picture <image>.',
    'Which region of <image> does the sentence part <class> speak of? Reply <format> with numbers in range <range>.',
    'Read the description <class> first. Only one object matches it. State its corners, <format>, range <range>, in '
    'the following image: <image>',
)

KEYPOINT_TEMPLATES = (
    'Find the keypoints <points> of every object of the category set <class> in the picture. Answer with '
    '<format> for each object, offsets within range <range>. Picture: <image>',
    'Look at <image> and locate the parts <points> of all instances of <class>. Write each instance as <format>, '
    'with coordinates in range <range>.',
    'The image is <image>. Where are the points <points> of the objects of <class>? Use the format <format> and '
    'the range <range>.',
    'Given the categories <class>, mark the landmarks <points> on each matching object of <image> as <format>. '
    'Location tokens span range <range>.',
    'Estimate the pose of <class> in the photo <image>. Output <format> per object, the points being <points>; '
    'the values lie within range <range>.',
    'Please list the keypoints <points> of all things in <image> that belong to one of these classes: <class>. '
    'Give them as <format> and keep to the range <range>.',
    'Pose estimation with the label set <class>, the joints <points>, coordinate range <range> and answer format '
    '<format> for this view: <image>',
    '<image> Here is a scene. For any item whose type is listed in <class>, tell its class token and where its '
    '<points> are, <format>, range <range>.',
    'As an annotator you know these labels: <class>. Click on <points> of every such object in <image>, noted as '
    '<format> in a range <range>.',
    'With range <range> and the notation <format>, report the positions of <points> for members of <class> in '
    'the view <image>.',
    'Each object of <class> has the characteristic points <points>. Give them in this order as <format>, range '
    '<range>, for what you see here: <image>',
    'Which pixels of <image> are <points> of a thing in <class>? Reply with one <format> per thing and numbers '
    'in range <range>.',
)

CAPTION_TEMPLATES = (
    'Describe what the picture shows in one sentence. Picture: <image>',
    'Look at <image> and write a caption for it.',
    'The image is <image>. What can be seen in it? Answer with a short description.',
    'Give a brief caption of the photo <image>.',
    'Please tell in a few words what is in <image>.',
    'Image captioning for this view: <image>',
    '<image> Here is a scene. Say what it contains.',
    'As an annotator, write the sentence that belongs below <image>.',
    'Explain the content of this picture <image> to someone who does not see it.',
    'Summarize the scene in <image> by naming all that is there.',
    'Which things does <image> show? Write one sentence that mentions them.',
    'Put the following image into words: <image>',
)

QUESTION_TEMPLATES = (
    'Answer the question about the picture in few words. Question: <question> Picture: <image>',
    'Look at <image> and answer: <question>',
    'The image is <image>. <question> Give a short answer.',
    'Here is a question about the photo <image>: <question> Reply briefly.',
    'Please answer this by looking at <image>. <question>',
    'Visual question answering. Question: <question> Image: <image> Answer:',
    '<image> Here is a scene. Tell me: <question>',
    'Someone who does not see <image> asks you: <question> What do you say?',
    'Use what this picture <image> shows to answer. <question>',
    'Question: <question> Only the image can answer it: <image>',
    'Reply to the question with a word or two. <question> This is what it is about: <image>',
    'With the view <image> in mind, respond to: <question>',
)

TASK_TEMPLATES = dict(
    detection=DETECTION_TEMPLATES,
    segmentation=SEGMENTATION_TEMPLATES,
    grounding=GROUNDING_TEMPLATES,
    keypoints=KEYPOINT_TEMPLATES,
    caption=CAPTION_TEMPLATES,
    question=QUESTION_TEMPLATES,
)
