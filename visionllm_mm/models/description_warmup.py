"""Warm-up of a small LLM on texts about images that it is told of instead of shown.

It stands for what the paper's pretrained LLM knows: to read a question, to find what it is about among the image
tokens, and to put it into words. As the texts of LLaVA-Instruct were written from lists of objects and boxes, image
tokens are made from such lists here.
"""

from collections.abc import Callable, Iterator

import torch
from mmdet.structures import SampleList
from torch import Tensor

from ..instructions import parse_instruction
from ..structures import SetTargets
from .losses import WordLoss
from .task_decoder import OpenEndedTaskDecoder
from .text_answers import answer_logits
from .text_warmup import stranger_ids, warm_up_schedule, word_names


def warm_up_on_descriptions(decoder: OpenEndedTaskDecoder, batches: Iterator[tuple[SampleList, list[SetTargets]]], *,
                            num_tokens: int, num_iters: int, lr: float, noise: float, seed: int,
                            report: Callable[[int, float], None] | None = None) -> None:
    """Trains the decoder to say the ``answer`` of samples whose objects are told by name and place, in place.

    Args:
        decoder: the task decoder; all of its weights that require a gradient are trained.
        batches: samples with ``instruction``, ``answer`` and ``object_names``, and their targets; without end.
        num_tokens: M, tokens per sequence.
        num_iters: optimiser steps.
        lr: peak learning rate (AdamW, linear warm-up over a tenth of the steps, then linear decay).
        noise: length of the noise added to a name's embedding, relative to it.
        seed: seed of places, noise and the words that stand where there is no object.
        report: called every 100 steps with step and mean loss since the last call.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = [parameter for parameter in decoder.parameters() if parameter.requires_grad]
    optimizer, schedule = warm_up_schedule(weights, lr, num_iters)
    loss_words, losses, strangers = WordLoss(), [], word_names(decoder)
    for step in range(num_iters):
        samples, targets = next(batches)
        tokens = describe(decoder, [sample.object_names for sample in samples], targets, strangers, num_tokens, noise,
                          generator)
        instructions = [parse_instruction(sample.instruction, decoder.vocabulary) for sample in samples]
        loss = loss_words(*answer_logits(decoder, instructions, tokens, [sample.answer for sample in samples]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if report is not None and (step + 1) % 100 == 0:
            report(step + 1, sum(losses) / len(losses))
            losses.clear()
    # Left over, the last gradients would be added to those of the first image batch.
    optimizer.zero_grad()


def describe(decoder: OpenEndedTaskDecoder, names: list[list[str]], targets: list[SetTargets], strangers: list[str],
             num_tokens: int, noise: float, generator: torch.Generator) -> Tensor:
    """Projected image tokens (B, M, width) of objects that are told: at random slots, other words elsewhere.

    Args:
        decoder: gives embeddings and the projection of places.
        names: of the labels of each image.
        targets: B targets; of more than M objects the first are told.
        strangers: what may be said where there is no object.
        num_tokens: M.
        noise: see :func:`warm_up_on_descriptions`.
        generator: of slots, places, noise and other words.
    """
    projector, device = decoder.projector, next(decoder.parameters()).device
    batch, width = len(targets), decoder.llm.embed_dims
    others = stranger_ids(decoder, strangers, batch * num_tokens, generator).view(batch, num_tokens)
    content = decoder.llm.embed_words(others.to(device))
    places = torch.rand(batch, num_tokens, projector.place_dims, generator=generator).to(device)
    named = decoder.prefix_builder.embed_names(names).name_embeddings
    for i, target in enumerate(targets):
        slots = torch.randperm(num_tokens, generator=generator)[:len(target)].to(device)
        count = len(slots)
        content = content.index_put((torch.full_like(slots, i), slots), named[i, target.class_index[:count]])
        box = torch.cat([target.centers_norm, target.sizes_norm], dim=1)
        places[i, slots] = box[:count, :projector.place_dims].clamp(0, 1)
    content = torch.nn.functional.normalize(content, dim=-1)
    random = torch.randn(content.shape, generator=generator).to(device) * (noise / width**0.5)
    return projector.normalize(content + random) + projector.project_place(places)
