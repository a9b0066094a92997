"""The plain form of the decoding, all queries at once; what the two passes of the task decoder must equal."""

import torch
from torch import Tensor

from ..instructions import Instruction
from .task_decoder import DecoderState, OpenEndedTaskDecoder, count_points


def decode_one_pass(
    decoder: OpenEndedTaskDecoder, instructions: list[Instruction], token_inputs: Tensor, num_points: int
) -> tuple[Tensor, Tensor]:
    """Decodes M (1 + 2N) queries in one pass.

    Args:
        decoder: the task decoder.
        instructions: B instructions.
        token_inputs: (B, M, width), projected image tokens.
        num_points: N.

    Returns:
        Class logits (B, M, K + 1) and point logits (B, M, N, 2, 2R + 1) of all tokens.
    """
    prefix = decoder.embed_prefix(instructions, token_inputs)
    batch, num_tokens = token_inputs.shape[:2]
    length, counts = 1 + 2 * num_points, count_points(instructions, token_inputs.device)
    class_queries = decoder.class_queries(instructions, token_inputs)[:, :, None]
    point_queries = decoder.point_queries(token_inputs, counts, num_points).unflatten(1, (num_tokens, -1))
    # (B, M, 1, width), (B, M, 2N, width) -> (B, M (1 + 2N), width)
    queries = torch.cat([class_queries, point_queries], dim=2).flatten(1, 2)
    hidden, key_values = decoder.continue_prefix(prefix, num_tokens, queries, block_length=length)
    # (B, T + M (1 + 2N), width) -> (B, M, 1 + 2N, width)
    hidden = hidden[:, -num_tokens * length :].view(batch, num_tokens, length, -1)
    state = DecoderState(prefix, token_inputs, key_values, hidden[:, :, 0], counts)
    # (B, M * 2N, 2R + 1) -> (B, M, N, 2, 2R + 1)
    points = decoder.location_logits(hidden[:, :, 1:].flatten(1, 2)).view(batch, num_tokens, num_points, 2, -1)
    return decoder.class_logits(state), points
