"""VisionLLM as tools of a chat program: InternGPT's ConversationBot, LangChain, any loop that calls tools by name.

InternGPT constructs each tool class with ``device=`` alone and takes from it the methods whose names begin with
``inference``. By their ``name`` and ``description`` its language model chooses them. Every method takes one string,
"image path, request", and returns text or the path of a rendered image.
"""

import contextlib
import re
import uuid
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from .images import check_image_file
from .inferencer import VisionLLMInferencer

_CHECKOUT = Path(__file__).resolve().parents[2]
_RELEASED = 'visionllm-tiny_miniscenes-multitask'


def _with_description(name: str, purpose: str, request: str, result: str) -> Callable[[Callable], Callable]:
    """Sets the name and the description by which a language model chooses a method."""

    def describe(method: Callable) -> Callable:
        method.name = name
        method.description = (
            f'useful when you want {purpose}. The input to this tool should be a comma separated string, representing '
            f'the image_path{request and " and "}{request}. It returns {result}.'
        )
        return method

    return describe


class VisionLLMTool:
    """Answers requests about images, for a language model that can call tools.

    Errors are returned as text, so that the conversation goes on.

    Args:
        device: such as ``cuda:0``.
        config: config of the model; None: that of the released small model, in a checkout of this project.
        weights: weights of the model; None: those of the released small model.
        out_dir: folder for rendered images.
        score_thr: objects with a lower score are left out.

    Raises:
        FileNotFoundError: when config or weights are missing.
    """

    def __init__(
        self,
        device: str = 'cpu',
        config: str | None = None,
        weights: str | None = None,
        out_dir: str = 'image',
        score_thr: float = 0.3,
    ) -> None:
        config = config or str(_CHECKOUT / f'configs/visionllm/{_RELEASED}.py')
        weights = weights or str(_CHECKOUT / f'checkpoints/{_RELEASED}.pth')
        for path in (config, weights):
            if '://' not in path and not Path(path).is_file():
                raise FileNotFoundError(f'VisionLLMTool: there is no {path}: give config= and weights=')
        self.model = VisionLLMInferencer(config, weights, device=device, show_progress=False)
        self.out_dir = Path(out_dir)
        self.score_thr = score_thr

    @_with_description(
        'Detect Objects In The Image',
        'to find all objects of some kinds in an image',
        'the names of the kinds',
        'the path of the image with boxes around them',
    )
    def inference_detect(self, inputs: str) -> str:
        """ "image path, star, red circle" -> path of the image with boxes."""
        return self._render(
            'detect', inputs, lambda path, request, **kwargs: self.model.detect(path, _names(request), **kwargs)
        )

    @_with_description(
        'Segment Objects In The Image',
        'the polygons around all objects of some kinds in an image',
        'the names of the kinds',
        'the path of the image with the polygons',
    )
    def inference_segment(self, inputs: str) -> str:
        """ "image path, star, red circle" -> path of the image with polygons."""
        return self._render(
            'segment', inputs, lambda path, request, **kwargs: self.model.segment(path, _names(request), **kwargs)
        )

    @_with_description(
        'Locate What Is Described',
        'to know where the object that a phrase describes is in an image',
        'the phrase',
        'its box as x1, y1, x2, y2 in pixels',
    )
    def inference_ground(self, inputs: str) -> str:
        """ "image path, the largest star" -> its box."""

        def locate(path: str, request: str) -> str:
            found = self.model.ground(path, request)['predictions'][0]
            if not found['scores'] or found['scores'][0] < self.score_thr:
                return f'I see no {request} in the image.'
            return ', '.join(f'{value:.0f}' for value in found['bboxes'][0])

        return self._try(inputs, locate)

    @_with_description('Describe The Image', 'to know what is inside an image', '', 'a sentence')
    def inference_caption(self, inputs: str) -> str:
        """ "image path" -> a sentence."""
        return self._try(inputs, lambda path, request: self.model.caption(path)['predictions'][0]['text'])

    @_with_description(
        'Answer A Question About The Image', 'an answer to a question about an image', 'the question', 'the answer'
    )
    def inference_answer(self, inputs: str) -> str:
        """ "image path, how many stars are there?" -> the answer."""
        return self._try(inputs, lambda path, request: self.model.answer(path, request)['predictions'][0]['text'])

    @_with_description(
        'Follow A Vision Instruction',
        'the result of an exact instruction, which has the placeholder <image> and, '
        'for objects, a category set such as {"star": <c0>} and a format such as (c, x1, y1, x2, y2)',
        'the instruction',
        'text, or the path of the image with the objects found',
    )
    def inference_instruction(self, inputs: str) -> str:
        """ "image path, instruction" -> text, or the path of a rendered image."""
        return self._render(
            'instruction', inputs, lambda path, request, **kwargs: self.model(path, instruction=request, **kwargs)
        )

    def _render(self, task: str, inputs: str, ask: Callable[..., dict]) -> str:

        def render(path: str, request: str) -> str:
            result = ask(path, request, return_vis=True, pred_score_thr=self.score_thr)
            if 'text' in result['predictions'][0]:
                return result['predictions'][0]['text']
            self.out_dir.mkdir(parents=True, exist_ok=True)
            out = self.out_dir / self._new_name(path, task)
            Image.fromarray(result['visualization'][0]).save(out)
            return str(out)

        return self._try(inputs, render)

    def _new_name(self, path: str, task: str) -> str:
        """A file name in InternGPT's form, from which it reads the latest image and the image that it comes from."""
        number = len(list(self.out_dir.glob('*.png'))) + 1
        origin = re.sub(r'[^\w-]', '', Path(path).stem.split('_')[0])  # without trailing punctuation of a text
        return f'{uuid.uuid4().hex[:3]}{number:03d}_{origin}_{task}.png'

    def _try(self, inputs: str, answer: Callable[[str, str], str]) -> str:
        try:
            path, request = _split(inputs)
            return answer(check_image_file(path, self.model.max_pixels), request)
        except (ValueError, TypeError, OSError) as error:
            return f'This could not be done: {error}'


def _split(inputs: str) -> tuple[str, str]:
    """Path and request; the path of an existing file may hold commas."""
    parts = inputs.split(',')
    for count in range(len(parts), 0, -1):
        path = ','.join(parts[:count]).strip().strip('"\'')
        with contextlib.suppress(OSError):  # a name may be too long for a file
            if Path(path).is_file():
                return path, ','.join(parts[count:]).strip()
    raise FileNotFoundError(f'no image {parts[0].strip()}')


def _names(request: str) -> list[str]:
    """ "stars, red circles and rings" -> the names, without articles."""
    names = [re.sub(r'^(a|an|the|all) ', '', name.strip(' .')) for name in re.split(r',|\band\b', request)]
    names = list(dict.fromkeys(filter(None, names)))
    if not names:
        raise ValueError('name what to look for behind the path of the image, such as "image.png, star, circle"')
    return names
