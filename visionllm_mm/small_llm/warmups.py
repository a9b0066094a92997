"""Text-only warm-up of an LLM without pretrained weights (design 3.3): look a name up in the category set.

It stands for what the paper's pretrained LLM already knows. The sequence is the detector's own, with word embeddings
of class names in the place of image tokens.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ..instructions import (
    DETECTION_TEMPLATES,
    build_instruction,
    parse_instruction,
    point_format,
)
from ..models.losses import ClassTokenLoss
from ..models.task_decoder import OpenEndedTaskDecoder

MAX_CLASSES = 10


def warm_up(
    decoder: OpenEndedTaskDecoder,
    *,
    num_tokens: int,
    num_iters: int,
    batch_size: int,
    lr: float,
    noise: float,
    seed: int,
    report: Callable[[int, float, float], None] | None = None,
) -> float:
    """Trains the decoder to answer ``<cls>`` for word embeddings of class names, in place.

    Args:
        decoder: the task decoder; all of its weights that require a gradient are trained.
        num_tokens: M, tokens per sequence.
        num_iters: optimiser steps.
        batch_size: sequences per step.
        lr: peak learning rate (AdamW, linear warm-up over a tenth of the steps, then linear decay).
        noise: length of the noise added to a name's embedding, relative to it.
        seed: seed of names, wordings and noise.
        report: called every 50 steps with step, loss and accuracy.

    Returns:
        Accuracy over the last 20 steps, in [0, 1]; chance is below 0.2.
    """
    generator = torch.Generator().manual_seed(seed)
    names = sorted(decoder.llm.plain_words())
    loss_class = ClassTokenLoss(none_weight=0.5)
    accuracies: list[float] = []

    def find_loss() -> Tensor:
        logits, targets = _step(decoder, names, batch_size, num_tokens, noise, generator)
        accuracies.append((logits.argmax(dim=-1) == targets).float().mean().item())
        total, weight = loss_class(logits, targets)
        return total / weight

    for step, loss in enumerate(train_steps(decoder, find_loss, num_iters, lr), start=1):
        if report is not None and step % 50 == 0:
            report(step, loss, accuracies[-1])
    last = accuracies[-20:]
    return sum(last) / max(1, len(last))


def train_steps(modules: nn.Module, find_loss: Callable[[], Tensor], num_iters: int, lr: float) -> Iterator[float]:
    """Trains modules with AdamW, whose learning rate rises over a tenth of the steps and then falls to zero.

    Args:
        modules: all of their weights that require a gradient are trained, in place.
        find_loss: loss of the next batch.
        num_iters: steps.
        lr: peak learning rate.

    Yields:
        The loss of each step, behind it.
    """
    weights = [parameter for parameter in modules.parameters() if parameter.requires_grad]
    # A shorter memory than AdamW's own follows the sudden progress of lookups: docs/design.md has the measurement.
    optimizer = torch.optim.AdamW(weights, lr=lr, betas=(0.9, 0.95), weight_decay=1e-4)
    ramp = max(1, num_iters // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / ramp, max(num_iters - step, 1) / max(num_iters, 1))
    )
    for _ in range(num_iters):
        loss = find_loss()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        yield loss.item()
    # Left over, the last gradients would be added to those of the first image batch.
    optimizer.zero_grad()


def report_means(losses: Iterator[float], every: int, report: Callable[[int, float], None] | None) -> None:
    """Runs all steps of :func:`train_steps`; after every few of them their number and mean loss are reported."""
    last = []
    for step, loss in enumerate(losses, start=1):
        last.append(loss)
        if report is not None and step % every == 0:
            report(step, sum(last) / len(last))
            last.clear()


def with_noise(content: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Directions of embeddings (..., width), length 1, with noise of length ``noise`` added."""
    random = torch.randn(content.shape, generator=generator).to(content.device) * (noise / content.shape[-1] ** 0.5)
    return torch.nn.functional.normalize(content, dim=-1) + random


def stranger_ids(decoder: OpenEndedTaskDecoder, names: list[str], count: int, generator: torch.Generator) -> Tensor:
    """(``count``,) int64, first ids of random names, which stand where an image shows nothing that is asked for."""
    drawn = torch.randint(len(names), (count,), generator=generator).tolist()
    return torch.tensor([decoder.llm.word_ids(names[i])[0] for i in drawn])


def _step(
    decoder: OpenEndedTaskDecoder,
    names: list[str],
    batch_size: int,
    num_tokens: int,
    noise: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Class logits (B, M, K + 1) and targets (B, M) of a random batch; a quarter of the tokens name no class."""

    def draw(high: int, size: tuple[int, ...] = (1,)) -> Tensor:
        return torch.randint(high, size, generator=generator)

    largest = min(MAX_CLASSES, decoder.vocabulary.num_classes)
    instructions = []
    for _ in range(batch_size):
        size = int(draw(largest)) + 1
        chosen = []
        for index in torch.randperm(len(names), generator=generator)[:size].tolist():
            # A fifth of the names have two words.
            second = f' {names[int(draw(len(names)))]}' if draw(5) == 0 else ''
            chosen.append(names[index] + second)
        template = DETECTION_TEMPLATES[int(draw(len(DETECTION_TEMPLATES)))]
        text = build_instruction(template, chosen, point_format(2), decoder.vocabulary)
        instructions.append(parse_instruction(text, decoder.vocabulary))
    device = next(decoder.parameters()).device
    # A first pass without image content gives the name embeddings of the sets.
    width = decoder.llm.embed_dims
    prefix = decoder.embed_prefix(instructions, torch.zeros(batch_size, num_tokens, width, device=device))
    counts = prefix.class_valid.sum(dim=1)
    rows = (torch.rand(batch_size, num_tokens, generator=generator).to(device) * counts[:, None]).long()
    named = torch.rand(batch_size, num_tokens, generator=generator).to(device) < 0.75
    targets = torch.where(named, rows, prefix.class_valid.shape[1])
    content = prefix.name_embeddings.gather(1, rows[..., None].expand(-1, -1, width))
    strangers = stranger_ids(decoder, names, batch_size * num_tokens, generator).view(batch_size, num_tokens)
    content = torch.where(named[..., None], content, decoder.llm.embed_words(strangers.to(device)))
    content = with_noise(content, noise, generator)
    projector = decoder.projector
    places = torch.rand(batch_size, num_tokens, projector.place_dims, generator=generator).to(device)
    # Whether something is to be found here is what the names alone decide.
    inputs = projector(projector.normalize(content), places, torch.ones_like(places[..., 0]))
    return decoder.class_logits(decoder.read(instructions, inputs)), targets
