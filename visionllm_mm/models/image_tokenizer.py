"""Language-guided image tokenizer: feature scales and language to image tokens (paper, section 3.3)."""

import torch
from mmcv.ops import MultiScaleDeformableAttention
from mmdet.models.detectors import DeformableDETR
from mmdet.models.layers import (
    DeformableDetrTransformerDecoder,
    DeformableDetrTransformerEncoder,
    SinePositionalEncoding,
)
from mmdet.models.layers.transformer.utils import inverse_sigmoid
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..structures import ImageTokens, Proposals
from .layers.cross_modal_fusion import CrossModalFusion
from .layers.encoder_proposals import (
    EncoderProposals,
    best_positions,
    distinct_first,
    objectness_head,
    place_head,
)
from .layers.position_embedding import sine_embedding


@MODELS.register_module()
class LanguageGuidedImageTokenizer(nn.Module):
    """Cross-attention fusion per scale, then a Deformable DETR whose queries become the image tokens.

    The layers are mmdet's own. Unlike a detector's, the heads say only whether a token describes something that the
    instruction asks for, and where its centre is; both on every decoder layer, with refinement of the centre from
    layer to layer.

    Args:
        num_tokens: M (paper: 100).
        text_dims: width of the language features.
        encoder, decoder, positional_encoding: arguments of mmdet's DeformableDetrTransformerEncoder,
            DeformableDetrTransformerDecoder and SinePositionalEncoding, as in a DeformableDETR config.
        num_feature_levels: L.
        fusion_heads: attention heads of the cross-modal fusion.
        proposals: whether the encoder makes proposals; off: as in the paper, the queries alone find the objects.
        query_selection: whether the queries start at the best proposals ("mixed query selection" of DINO) instead of
            at learned places.
        refine_sizes: whether heads and reference points have a size, too, as Deformable DETR's do with box refinement;
            it guides where the decoder looks. Needs ``query_selection``.
        max_iou: overlap of two proposals, in [0, 1], above which only the better one is among the first that queries
            start at; used where proposals have a size. 1: never.
    """

    # mmdet's own flattening of feature levels; it uses positional_encoding and level_embed below.
    pre_transformer = DeformableDETR.pre_transformer
    get_valid_ratio = staticmethod(DeformableDETR.get_valid_ratio)

    def __init__(
        self,
        num_tokens: int,
        text_dims: int,
        encoder: dict,
        decoder: dict,
        positional_encoding: dict,
        num_feature_levels: int = 4,
        fusion_heads: int = 8,
        proposals: bool = False,
        query_selection: bool = False,
        refine_sizes: bool = False,
        max_iou: float = 1.0,
    ) -> None:
        super().__init__()
        self.positional_encoding = SinePositionalEncoding(**positional_encoding)
        self.encoder = DeformableDetrTransformerEncoder(**encoder)
        self.decoder = DeformableDetrTransformerDecoder(**decoder)
        self.embed_dims = self.encoder.embed_dims
        dims, layers = self.embed_dims, self.decoder.num_layers
        if 2 * self.positional_encoding.num_feats != dims:
            raise ValueError(
                f'positional_encoding.num_feats must be half of embed_dims = {dims}, '
                f'got {self.positional_encoding.num_feats}'
            )
        if query_selection and not proposals:
            raise ValueError('query_selection=True needs proposals=True')
        if refine_sizes and not query_selection:
            raise ValueError('refine_sizes=True needs query_selection=True, which gives the first sizes')
        self.num_tokens = num_tokens
        self.level_embed = nn.Parameter(torch.empty(num_feature_levels, dims))
        self.query_embedding = nn.Embedding(num_tokens, dims)
        if query_selection:
            self.query_position = nn.Linear(2 * dims if refine_sizes else dims, dims)
        else:
            self.query_position = nn.Embedding(num_tokens, dims)
            self.reference_points_fc = nn.Linear(dims, 2)
        self.text_projection = nn.Linear(text_dims, dims)
        self.fusions = nn.ModuleList(CrossModalFusion(dims, fusion_heads) for _ in range(num_feature_levels))
        self.objectness_heads = nn.ModuleList(objectness_head(dims) for _ in range(layers))
        self.place_heads = nn.ModuleList(place_head(dims, refine_sizes) for _ in range(layers))
        self.proposals = EncoderProposals(dims, refine_sizes) if proposals else None
        self.query_selection = query_selection
        self.refine_sizes = refine_sizes
        self.max_iou = max_iou
        self.init_weights()

    @property
    def place_dims(self) -> int:
        """Coordinates of a token's place: 2, its centre, or 4, with its size."""
        return 4 if self.refine_sizes else 2

    def init_weights(self) -> None:
        """Initial weights as Deformable DETR's."""
        for part in (self.encoder, self.decoder):
            for parameter in part.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)
        for module in self.modules():
            if isinstance(module, MultiScaleDeformableAttention):
                module.init_weights()
        nn.init.normal_(self.level_embed)
        if not self.query_selection:
            nn.init.xavier_uniform_(self.reference_points_fc.weight)
            nn.init.zeros_(self.reference_points_fc.bias)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Weights with another number of tokens: the contents of the queries are repeated, or the first ones used.

        Raises:
            ValueError: when the queries also have learned places, which can't be repeated.
        """
        name = f'{prefix}query_embedding.weight'
        saved = state_dict.get(name)
        if saved is not None and len(saved) != self.num_tokens:
            if not self.query_selection:
                raise ValueError(
                    f'the checkpoint has {len(saved)} image tokens at learned places and this model '
                    f'{self.num_tokens}: set image_tokenizer.num_tokens={len(saved)}'
                )
            state_dict[name] = saved[torch.arange(self.num_tokens, device=saved.device) % len(saved)]
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(
        self,
        features: tuple[Tensor, ...],
        language: Tensor,
        language_padding: Tensor,
        data_samples: list,
        extra_places: Tensor | None = None,
    ) -> ImageTokens:
        """Makes the image tokens of a batch, in float32 also within autocast.

        mmcv's deformable attention on GPUs knows no bfloat16, and a place with its 8 bits would be coarser than a
        location token.

        Args:
            features: L maps (B, D, H_l, W_l).
            language: (B, T, ``text_dims``).
            language_padding: (B, T) bool, True = padding.
            data_samples: B samples with ``batch_input_shape`` and ``img_shape`` (px), which say what is padding.
            extra_places: (B, Q, 4), where Q further tokens begin, each of which sees no other token; None: none.

        Returns:
            The tokens, with objectness and centres of every decoder layer.
        """
        with torch.autocast(language.device.type, enabled=False):
            return self._tokenize(
                tuple(x.float() for x in features), language.float(), language_padding, data_samples, extra_places
            )

    def _tokenize(
        self,
        features: tuple[Tensor, ...],
        language: Tensor,
        language_padding: Tensor,
        data_samples: list,
        extra_places: Tensor | None,
    ) -> ImageTokens:
        language = self.text_projection(language)
        fused = [fuse(x, language, language_padding) for fuse, x in zip(self.fusions, features, strict=True)]
        encoder_inputs, decoder_inputs = self.pre_transformer(fused, data_samples)
        memory = self.encoder(
            query=encoder_inputs['feat'],
            query_pos=encoder_inputs['feat_pos'],
            key_padding_mask=encoder_inputs['feat_mask'],
            spatial_shapes=encoder_inputs['spatial_shapes'],
            level_start_index=encoder_inputs['level_start_index'],
            valid_ratios=encoder_inputs['valid_ratios'],
        )
        proposals = None
        if self.proposals is not None:
            proposals = self.proposals(
                memory,
                encoder_inputs['feat_mask'],
                encoder_inputs['spatial_shapes'],
                encoder_inputs['valid_ratios'],
                data_samples,
            )
        query = self.query_embedding.weight.expand(len(memory), -1, -1)
        first_reference = self._first_references(proposals, encoder_inputs['spatial_shapes'], query)
        count, self_attn_mask = 0, None
        if extra_places is not None:
            count = extra_places.shape[1]
            query = torch.cat([query[:, torch.arange(count, device=query.device) % self.num_tokens], query], dim=1)
            first_reference = torch.cat([extra_places, first_reference], dim=1)
            size = query.shape[1]
            self_attn_mask = ~torch.eye(size, dtype=torch.bool, device=query.device)
            self_attn_mask[count:, count:] = False
        query_pos = self._query_positions(first_reference, query)
        states, references = self.decoder(
            query=query,
            query_pos=query_pos,
            value=memory,
            key_padding_mask=decoder_inputs.pop('memory_mask'),
            reference_points=first_reference,
            reg_branches=self.place_heads,
            self_attn_mask=self_attn_mask,
            **decoder_inputs,
        )
        references = torch.cat([first_reference[None], references[:-1]])
        places = torch.stack(
            [
                (head(state) + inverse_sigmoid(reference)).sigmoid()
                for head, state, reference in zip(self.place_heads, states, references, strict=True)
            ]
        )
        objectness = torch.stack(
            [head(state).squeeze(-1) for head, state in zip(self.objectness_heads, states, strict=True)]
        )
        sizes = places[..., 2:] if self.refine_sizes else None
        tokens = ImageTokens(
            states[:, :, count:],
            places[:, :, count:, :2],
            objectness[:, :, count:],
            proposals,
            sizes if sizes is None else sizes[:, :, count:],
        )
        if count:
            tokens.extra = ImageTokens(
                states[:, :, :count], places[:, :, :count, :2], objectness[:, :, :count], sizes_norm=sizes[:, :, :count]
            )
        return tokens

    def _query_positions(self, reference: Tensor, query: Tensor) -> Tensor:
        """Positional embeddings (B, M, D) of the queries."""
        if not self.query_selection:
            return self.query_position.weight.expand_as(query)
        return self.query_position(sine_embedding(reference, query.shape[2] // 2))

    def _first_references(self, proposals: Proposals | None, spatial_shapes: Tensor, query: Tensor) -> Tensor:
        """Where the queries start: (B, M, 2 or 4) in [0, 1]."""
        if not self.query_selection:
            return self.reference_points_fc(self._query_positions(None, query)).sigmoid()
        if proposals.objectness.shape[1] < self.num_tokens:
            raise ValueError(
                f'the feature scales have {proposals.objectness.shape[1]} positions, fewer than '
                f'num_tokens = {self.num_tokens}: resize images to a larger scale or lower num_tokens'
            )
        distinct = self.refine_sizes and self.max_iou < 1
        # With enough of them, others take the places of those that are put back.
        count = min(5 * self.num_tokens if distinct else self.num_tokens, proposals.objectness.shape[1])
        best = best_positions(proposals.objectness.detach(), spatial_shapes, count)
        places = proposals.places_norm.detach()
        places = places.gather(1, best[..., None].expand(-1, -1, places.shape[2]))
        if distinct:
            order = distinct_first(places, self.max_iou)
            places = places.gather(1, order[..., None].expand_as(places))
        return places[:, : self.num_tokens]
