"""Warm-ups of the task decoder before the first image; they stand for what a pretrained LLM already knows."""

from collections.abc import Callable, Iterator

import torch
from mmdet.structures import SampleList
from torch import Tensor, nn
from torch.nn import functional as F

from ..instructions import (
    DETECTION_TEMPLATES,
    Instruction,
    build_instruction,
    parse_instruction,
    point_format,
    shorten,
)
from ..models.auxiliary import FormatLoss
from ..models.losses import ClassTokenLoss
from ..models.task_decoder import OpenEndedTaskDecoder
from ..models.text_decoding import answer_logits
from .phrase_loss import PhraseLoss
from .progress import WarmupProgress
from .simulated_tokens import distractor_ids, simulate_tokens, simulated_targets, with_noise

MAX_CLASSES = 10


def warm_up_on_text(
    decoder: OpenEndedTaskDecoder,
    *,
    num_tokens: int,
    num_iters: int,
    batch_size: int,
    lr: float,
    noise: float,
    seed: int,
    progress: WarmupProgress | None = None,
) -> float:
    """Trains the decoder to look a name up in the category set, in place.

    The sequence is the detector's own, with word embeddings of class names in the place of image tokens.

    Args:
        decoder: the task decoder; all of its weights that require a gradient are trained.
        num_tokens: M, tokens per sequence.
        num_iters: optimizer steps.
        batch_size: sequences per step.
        lr: peak learning rate, see :func:`train`.
        noise: length of the noise added to a name's embedding, relative to it.
        seed: seed of names, templates and noise.
        progress: logs the steps, and lets a stopped warm-up go on.

    Returns:
        Accuracy over the last 20 steps, in [0, 1]; chance is below 0.2.

    Raises:
        ValueError: when the tokenizer has no whole words.
    """
    generator = torch.Generator().manual_seed(seed)
    names = whole_words(decoder)
    loss_class = ClassTokenLoss(none_weight=0.5)
    accuracies: list[float] = []

    def find_loss() -> Tensor:
        logits, labels = _lookup_batch(decoder, names, batch_size, num_tokens, noise, generator)
        accuracies.append((logits.argmax(dim=-1) == labels).float().mean().item())
        if progress is not None:
            progress.note(accuracy=accuracies[-1])
        total, weight = loss_class(logits, labels)
        return total / weight

    train(decoder, find_loss, num_iters, lr, progress, generator)
    last = accuracies[-20:]
    return sum(last) / max(1, len(last))


def warm_up_on_simulated_tokens(
    decoder: OpenEndedTaskDecoder,
    batches: Iterator[SampleList],
    *,
    num_tokens: int,
    num_iters: int,
    lr: float,
    noise: float,
    seed: int,
    phrase_weight: float = 0.0,
    loss_format: FormatLoss | None = None,
    progress: WarmupProgress | None = None,
) -> None:
    """Trains the decoder on texts about images whose tokens are simulated from annotations, in place.

    It learns the answer where an instruction asks for text, and else which tokens are of the one class it asks for.

    Args:
        decoder: the task decoder; all of its weights that require a gradient are trained.
        batches: without end; samples with ``instruction``, ``gt_instances`` and ``object_names``, and with ``answer``
            where text is asked for; one kind of answer per batch.
        num_tokens: M, tokens per sequence.
        num_iters: optimizer steps.
        lr: peak learning rate, see :func:`train`.
        noise: length of the noise added to a name's embedding, relative to it.
        seed: seed of boxes, noise and distractor words.
        phrase_weight: weight of :class:`PhraseLoss`, for hints with phrases; 0: off.
        loss_format: also learned, from a quarter of the samples; None: off.
        progress: logs the steps, and lets a stopped warm-up go on: ``batches`` begin behind its first steps then.

    Raises:
        ValueError: when the tokenizer has no whole words.
    """
    generator = torch.Generator().manual_seed(seed)
    words, loss_phrases = whole_words(decoder), PhraseLoss(phrase_weight)

    def find_loss() -> Tensor:
        samples = next(batches)
        instructions = [parse_instruction(sample.instruction, decoder.vocabulary) for sample in samples]
        targets, names = simulated_targets(samples), [sample.object_names for sample in samples]
        slots = [torch.randperm(num_tokens, generator=generator)[: len(target)] for target in targets]
        inputs = simulate_tokens(decoder, names, targets, slots, words, num_tokens, noise, generator)
        if instructions[0].asks_for_text:
            loss = _text_loss(decoder, instructions, samples, inputs)
        else:
            asked = [target.target_class >= 0 for target in targets]
            loss = _single_class_loss(decoder, instructions, inputs, slots, asked)
        if phrase_weight:
            loss = loss + loss_phrases.loss(decoder, instructions, samples, inputs, slots, targets)
        if loss_format is not None:
            # A quarter of the texts is enough for what is read off them alone, and as much work as all answers.
            loss = loss + loss_format.loss(decoder, instructions[::4], samples[::4])
        return loss

    train(decoder, find_loss, num_iters, lr, progress, generator)


def whole_words(decoder: OpenEndedTaskDecoder) -> list[str]:
    """Words that stand for names; a ValueError where the tokenizer has none."""
    words = sorted(decoder.llm.plain_words())
    if not words:
        raise ValueError(
            f'the tokenizer of the LLM, {shorten(decoder.llm.tokenizer.name_or_path)}, has no word of three letters or '
            'more, a to z, as one token, and warm-ups are made of such words: name another LLM (LLM=... or '
            'model.llm.path), or leave the warm-ups out (tools/train.py --warmup-iters 0)'
        )
    return words


def train(
    modules: nn.Module,
    find_loss: Callable[[], Tensor],
    num_iters: int,
    lr: float,
    progress: WarmupProgress | None = None,
    generator: torch.Generator | None = None,
) -> None:
    """Trains modules with AdamW, whose learning rate rises over a tenth of the steps and then falls to zero.

    Args:
        modules: all of their weights that require a gradient are trained, in place.
        find_loss: loss of the next batch.
        num_iters: steps.
        lr: peak learning rate.
        progress: logs the steps, and lets a stopped training go on.
        generator: what ``find_loss`` samples from, beside PyTorch's and NumPy's own generators.
    """
    weights = [parameter for parameter in modules.parameters() if parameter.requires_grad]
    # A shorter memory than AdamW's own follows the sudden progress of lookups: docs/decisions.md#warm-ups.
    optimizer = torch.optim.AdamW(weights, lr=lr, betas=(0.9, 0.95), weight_decay=1e-4)
    ramp = max(1, num_iters // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / ramp, max(num_iters - step, 1) / max(num_iters, 1))
    )
    parts = dict(modules=modules, optimizer=optimizer, schedule=schedule)
    if progress is not None:
        progress.restore(parts, generator)
    for step in range(progress.first_step if progress else 0, num_iters):
        loss = find_loss()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress.note(loss=loss.item())
            progress.after_step(step + 1, parts, generator)
    # Left over, the last gradients would be added to those of the first image batch.
    optimizer.zero_grad()


def _text_loss(
    decoder: OpenEndedTaskDecoder, instructions: list[Instruction], samples: SampleList, inputs: Tensor
) -> Tensor:
    logits, words = answer_logits(decoder, instructions, inputs, [sample.answer for sample in samples])
    return F.cross_entropy(logits.flatten(0, 1), words.flatten())  # TextLoss waits for other processes


def _single_class_loss(
    decoder: OpenEndedTaskDecoder,
    instructions: list[Instruction],
    inputs: Tensor,
    slots: list[Tensor],
    asked: list[Tensor],
) -> Tensor:
    labels = torch.ones(inputs.shape[:2], dtype=torch.int64)  # 0: the one class, 1: no-object
    for i, (slot, mask) in enumerate(zip(slots, asked, strict=True)):
        labels[i, slot[mask[: len(slot)].cpu()]] = 0
    class_logits = decoder.class_logits(decoder.read(instructions, inputs))
    total, weight = ClassTokenLoss(none_weight=0.3)(class_logits, labels.to(inputs.device))
    return total / weight


def _lookup_batch(
    decoder: OpenEndedTaskDecoder,
    names: list[str],
    batch_size: int,
    num_tokens: int,
    noise: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Class logits (B, M, K + 1) and labels (B, M) of a random batch; a quarter of the tokens name no class."""

    def sample(high: int) -> int:
        return int(torch.randint(high, (1,), generator=generator))

    largest = min(MAX_CLASSES, decoder.vocabulary.num_classes)
    instructions = []
    for _ in range(batch_size):
        size = sample(largest) + 1
        chosen = []
        for index in torch.randperm(len(names), generator=generator)[:size].tolist():
            # A fifth of the names have two words.
            second = f' {names[sample(len(names))]}' if sample(5) == 0 else ''
            chosen.append(names[index] + second)
        template = DETECTION_TEMPLATES[sample(len(DETECTION_TEMPLATES))]
        text = build_instruction(template, chosen, point_format(2), decoder.vocabulary)
        instructions.append(parse_instruction(text, decoder.vocabulary))
    device = next(decoder.parameters()).device
    sets = decoder.prefix_builder.embed_names([instruction.class_names for instruction in instructions])
    counts = sets.class_valid.sum(dim=1)
    rows = (torch.rand(batch_size, num_tokens, generator=generator).to(device) * counts[:, None]).long()
    named = torch.rand(batch_size, num_tokens, generator=generator).to(device) < 0.75
    labels = torch.where(named, rows, sets.class_valid.shape[1])
    # (B, K, width), (B, M) -> (B, M, width)
    content = sets.name_embeddings.gather(1, rows[..., None].expand(-1, -1, decoder.llm.embed_dims))
    others = distractor_ids(decoder, names, batch_size * num_tokens, generator).view(batch_size, num_tokens)
    content = torch.where(named[..., None], content, decoder.llm.embed_words(others.to(device)))
    content = with_noise(content, noise, generator)
    projector = decoder.projector
    boxes = torch.rand(batch_size, num_tokens, projector.box_dims, generator=generator).to(device)
    # The names alone decide whether there is an object: all tokens state that they are one.
    inputs = decoder.hints.image_tokens(projector(projector.normalize(content), boxes), torch.ones_like(boxes[..., 0]))
    return decoder.class_logits(decoder.read(instructions, inputs)), labels
