"""Loading of Hugging Face parts, with errors that name the remedy."""

from pathlib import Path
from pickle import UnpicklingError

from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import is_sentencepiece_available

ASSETS = Path(__file__).parents[2] / 'assets'
SPECIAL_TOKENS = dict(pad_token='<pad>', bos_token='<s>', eos_token='</s>', unk_token='<unk>')


def load_tokenizer(source: str | None) -> PreTrainedTokenizerBase:
    """Loads a tokenizer.

    Args:
        source: ``builtin`` (the project's small one, for models without pretrained weights), a ``tokenizer.json``
            file with the special tokens ``<pad> <s> </s> <unk>``, a folder, or a Hugging Face name.

    Raises:
        ValueError: when no source is given.
        FileNotFoundError: when a path is missing, or a name can't be had.
        ImportError: when the tokenizer is a ``tokenizer.model`` alone, and sentencepiece is missing.
    """
    if source is None:
        raise ValueError("a model with random weights needs a tokenizer: give tokenizer='builtin', a file or a name")
    path = ASSETS / 'tokenizer.json' if source == 'builtin' else Path(source)
    if path.suffix == '.json':
        if not path.is_file():
            raise FileNotFoundError(f'tokenizer file {path} does not exist')
        return PreTrainedTokenizerFast(tokenizer_file=str(path), **SPECIAL_TOKENS)
    try:
        tokenizer = load_pretrained(AutoTokenizer, source)
    except FileNotFoundError as error:
        # transformers takes tokenizer.model for another library's file then.
        if 'tiktoken' not in str(error) or is_sentencepiece_available():
            raise
        raise ImportError(
            f"the tokenizer of {source!r} is in SentencePiece's form (tokenizer.model), as those of the first LLaMAs "
            'are, and sentencepiece is missing: run `pip install sentencepiece protobuf`'
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_pretrained(auto_class, source: str, **kwargs):
    """``auto_class.from_pretrained(source)`` with an error that names the path and the remedy.

    Args:
        auto_class: transformers' class to load with, such as ``AutoModel``.
        source: Hugging Face name or local folder.
        kwargs: of ``from_pretrained``.

    Raises:
        FileNotFoundError: when ``source`` looks like a path that does not exist, or can't be loaded.
        ValueError: when a file is damaged, or holds anything but weights.
    """
    looks_like_path = source.startswith(('.', '/', '~')) or source.count('/') > 1
    folder = Path(source).expanduser()
    if looks_like_path and not folder.is_dir():
        raise FileNotFoundError(
            f'no folder {source} to load {auto_class.__name__} from: give a folder with a '
            'Hugging Face config.json and weights, or the name of a model on the hub'
        )
    try:
        return auto_class.from_pretrained(str(folder) if folder.is_dir() else source, **kwargs)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f'{auto_class.__name__} could not be loaded from {source!r} ({error}). Give a local folder, or a hub name '
            'where the network reaches the hub.'
        ) from error
    except (SafetensorError, UnpicklingError) as error:
        # torch's own message would have one load the file without protection.
        reason = (
            'it is damaged or incomplete'
            if isinstance(error, SafetensorError)
            else 'it is damaged, or holds code beside the weights, which is not run'
        )
        raise ValueError(
            f'a weight file in {source!r} can not be read: {reason}. Download it again, best as safetensors'
        ) from error


def unused_weights(source: str, info: dict) -> list[str]:
    """Names of weights in ``source`` that the model loaded from it does not have.

    Args:
        source: what it was loaded from.
        info: transformers' second result where ``output_loading_info`` is given.

    Raises:
        ValueError: when weights are missing, which transformers fills in at random.
    """
    if missing := sorted(info['missing_keys']):
        raise ValueError(
            f'{source!r} lacks {len(missing)} of the weights that its config.json asks for, first '
            f'{missing[0]}: the files are incomplete, or of another model. Download them again'
        )
    return sorted(info['unexpected_keys'])
