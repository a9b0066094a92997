"""VisionLLM as tools of a chat program: InternGPT's ConversationBot, LangChain, any loop that calls tools by name.

InternGPT constructs each tool class with ``device=`` alone and takes from it the methods whose names begin with
``inference``; their ``name`` and ``description`` tell its language model when to call them. Every method takes one
string, "image path, request", and returns text or the path of a drawn image.
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


def _described(name: str, purpose: str, request: str, result: str) -> Callable[[Callable], Callable]:
    """Gives a method the name and the description by which a language model chooses it."""

    def describe(method: Callable) -> Callable:
        method.name = name
        method.description = (
            f'useful when you want {purpose}. The input to this tool should be a comma separated string, representing '
            f'the image_path{request and " and "}{request}. It returns {result}.'
        )
        return method

    return describe


class VisionLLMTool:
    """Looks at images by instruction, for a language model that can call tools.

    What can't be done is said in the returned text, so that the conversation goes on.

    Args:
        device: such as ``cuda:0``.
        config: config of the model; None: the released small one's, in a checkout of this project.
        weights: its weights.
        out_dir: folder for drawn images.
        score_thr: what is less sure is neither drawn nor told.

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

    @_described(
        'Detect Objects In The Image',
        'to find all objects of some kinds in an image',
        'the names of the kinds',
        'the path of the image with boxes around them',
    )
    def inference_detect(self, inputs: str) -> str:
        """ "image path, star, red circle" -> path of the image with boxes."""
        return self._draw(
            'detect', inputs, lambda path, request, **kwargs: self.model.detect(path, _names(request), **kwargs)
        )

    @_described(
        'Segment Objects In The Image',
        'the outlines of all objects of some kinds in an image',
        'the names of the kinds',
        'the path of the image with the outlines',
    )
    def inference_segment(self, inputs: str) -> str:
        """ "image path, star, red circle" -> path of the image with outlines."""
        return self._draw(
            'segment', inputs, lambda path, request, **kwargs: self.model.segment(path, _names(request), **kwargs)
        )

    @_described(
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

    @_described('Describe The Image', 'to know what is inside an image', '', 'a sentence')
    def inference_caption(self, inputs: str) -> str:
        """ "image path" -> a sentence."""
        return self._try(inputs, lambda path, request: self.model.caption(path)['predictions'][0]['text'])

    @_described(
        'Answer A Question About The Image', 'an answer to a question about an image', 'the question', 'the answer'
    )
    def inference_answer(self, inputs: str) -> str:
        """ "image path, how many stars are there?" -> the answer."""
        return self._try(inputs, lambda path, request: self.model.answer(path, request)['predictions'][0]['text'])

    @_described(
        'Follow A Vision Instruction',
        'something said in an exact instruction, which has the placeholder <image> and, '
        'for objects, a category set such as {"star": <c0>} and a format such as (c, x1, y1, x2, y2)',
        'the instruction',
        'words, or the path of the image with what was found',
    )
    def inference_instruction(self, inputs: str) -> str:
        """ "image path, instruction" -> words, or the path of a drawn image."""
        return self._draw(
            'instruction', inputs, lambda path, request, **kwargs: self.model(path, instruction=request, **kwargs)
        )

    def _draw(self, task: str, inputs: str, ask: Callable[..., dict]) -> str:

        def drawn(path: str, request: str) -> str:
            result = ask(path, request, return_vis=True, pred_score_thr=self.score_thr)
            if 'text' in result['predictions'][0]:
                return result['predictions'][0]['text']
            self.out_dir.mkdir(parents=True, exist_ok=True)
            out = self.out_dir / self._new_name(path, task)
            Image.fromarray(result['visualization'][0]).save(out)
            return str(out)

        return self._try(inputs, drawn)

    def _new_name(self, path: str, task: str) -> str:
        """A name in InternGPT's form, from which it reads which image is the latest, and of which one it is made."""
        number = len(list(self.out_dir.glob('*.png'))) + 1
        origin = re.sub(r'[^\w-]', '', Path(path).stem.split('_')[0])  # what follows the path in a text is none of it
        return f'{uuid.uuid4().hex[:3]}{number:03d}_{origin}_{task}.png'

    def _try(self, inputs: str, answer: Callable[[str, str], str]) -> str:
        try:
            path, request = _split(inputs)
            return answer(check_image_file(path, self.model.max_pixels), request)
        except (ValueError, TypeError, OSError) as error:
            return f'This could not be done: {error}'


def _split(inputs: str) -> tuple[str, str]:
    """Path and request; a path may hold commas where there is such a file."""
    parts = inputs.split(',')
    for count in range(len(parts), 0, -1):
        path = ','.join(parts[:count]).strip().strip('"\'')
        with contextlib.suppress(OSError):  # a name that is too long for a file is none
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
