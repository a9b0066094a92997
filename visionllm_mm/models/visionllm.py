"""The VisionLLM detector: wires backbone, text encoder, image tokenizer and task decoder together (paper, figure 3)."""

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import DetDataSample, SampleList
from mmdet.utils import OptConfigType, OptMultiConfig
from mmengine.structures import InstanceData
from torch import Tensor

from ..instructions import Instruction, Vocabulary, parse_instruction
from ..structures import ImageTokens, SetTargets
from .auxiliary.denoising import NoisyStarts, noisy_starts
from .criterion import Matches, SetCriterion
from .format_reader import FormatReader, format_logits
from .losses import WordLoss
from .postprocess import SetPostprocessor
from .prefix import NameSets, Prefix
from .targets import set_targets
from .task_decoder import DecoderState
from .text_decoding import answer_logits, generate


@MODELS.register_module()
class VisionLLM(BaseDetector):
    """A large language model as an open-ended decoder for vision tasks.

    Every data sample carries an ``instruction`` (text with ``<image>``) in its metainfo; it alone says what to look
    for and how to answer.

    Args:
        backbone: any mmdet backbone.
        neck: brings the features to the tokenizer's width, e.g. mmdet's ChannelMapper.
        text_encoder: :class:`TextEncoder`.
        image_tokenizer: :class:`LanguageGuidedImageTokenizer`.
        llm: :class:`CausalLM`.
        vocabulary: arguments of :class:`Vocabulary`, the added tokens.
        task_decoder: further arguments of :class:`OpenEndedTaskDecoder`.
        criterion: arguments of :class:`SetCriterion`, ``loss_words``, ``loss_format`` where the LLM learns to read
            output formats, and ``loss_asked``, :class:`AskedObjectsLoss`, for a decoder with ``asked_phrases``; losses
            and matchers are built here.
        format_source: who reads the output format off an instruction while predicting: ``rule``, the parser, or
            ``llm``, see :class:`FormatReader`. While training, the parser does.
        denoising: arguments of :func:`noisy_starts`, ``copies`` and ``noise``; None: off. Needs a tokenizer that
            refines sizes.
        test_cfg: arguments of :class:`SetPostprocessor`, and in ``words`` those of :func:`generate`.
        train_cfg: unused; mmdet's tools expect it.
        data_preprocessor, init_cfg: as in any mmdet detector.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        text_encoder: dict,
        image_tokenizer: dict,
        llm: dict,
        vocabulary: dict,
        criterion: dict,
        task_decoder: OptConfigType = None,
        format_source: str = 'rule',
        denoising: OptConfigType = None,
        test_cfg: OptConfigType = None,
        train_cfg: OptConfigType = None,
        data_preprocessor: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.vocabulary = Vocabulary(**vocabulary)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.text_encoder = MODELS.build(text_encoder)
        self.image_tokenizer = MODELS.build(dict(image_tokenizer, text_dims=self.text_encoder.embed_dims))
        decoder = dict(type='OpenEndedTaskDecoder') | (task_decoder or {})
        self.task_decoder = MODELS.build(
            dict(
                decoder,
                llm=MODELS.build(llm),
                vocabulary=self.vocabulary,
                token_dims=self.image_tokenizer.embed_dims,
                place_dims=self.image_tokenizer.place_dims,
            )
        )
        parts = {
            name: TASK_UTILS.build(cfg)
            for name, cfg in criterion.items()
            if name.endswith('assigner') and cfg is not None
        }
        parts |= {
            name: MODELS.build(cfg) for name, cfg in criterion.items() if name.startswith('loss_') and cfg is not None
        }
        self.loss_words = parts.pop('loss_words', None) or WordLoss()
        self.loss_format = parts.pop('loss_format', None)
        self.loss_asked = parts.pop('loss_asked', None)
        if format_source not in ('rule', 'llm'):
            raise ValueError(f"format_source must be 'rule' or 'llm', got {format_source!r}")
        self.format_reader = FormatReader(self.task_decoder, self.vocabulary) if format_source == 'llm' else None
        self.criterion = SetCriterion(**parts)
        if self.criterion.loss_outline is not None and self.task_decoder.point_places is None:
            raise ValueError(
                'criterion.loss_outline needs task_decoder.place_points=True: it teaches what point '
                'queries say by themselves'
            )
        self.postprocessor = SetPostprocessor(**{k: v for k, v in (test_cfg or {}).items() if k != 'words'})
        if denoising is not None and not self.image_tokenizer.refine_sizes:
            raise ValueError('denoising needs image_tokenizer.refine_sizes=True: its tokens start at boxes')
        self.denoising = denoising
        self.failures: list[tuple[str | None, str]] | None = None
        self.generation = dict((test_cfg or {}).get('words', {}))

    def train(self, mode: bool = True) -> 'VisionLLM':
        self._forget_formats()
        return super().train(mode)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Refuses weights of another model, which a non-strict load would pass over with a warning."""
        self._forget_formats()
        parts = sorted({name.removeprefix(prefix).split('.')[0] for name in state_dict if name.startswith(prefix)})
        if 'task_decoder' not in parts:
            raise ValueError(
                f'the checkpoint holds no VisionLLM: it has {parts}, but no task_decoder. To begin with the backbone '
                "of another detector set model.backbone.init_cfg=dict(type='Pretrained', checkpoint=..., "
                "prefix='backbone.')"
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _forget_formats(self) -> None:
        if self.format_reader is not None:
            self.format_reader.clear()

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) -> L maps (B, D, H_l, W_l)."""
        return self.neck(self.backbone(batch_inputs))

    def parse_instructions(self, data_samples: SampleList) -> list[Instruction]:
        """Instructions of the samples.

        Raises:
            ValueError: when a sample has none, or one that can't be parsed.
        """
        if any('instruction' not in sample for sample in data_samples):
            raise ValueError(
                'a data sample has no instruction: add a transform such as DetectionInstruction to the '
                "pipeline, and 'instruction' to the meta_keys of the one that packs"
            )
        texts = [sample.instruction for sample in data_samples]
        if self.format_reader is not None and not self.training:
            return self.format_reader(texts)
        return [parse_instruction(text, self.vocabulary) for text in texts]

    def tokenize(
        self,
        features: tuple[Tensor, ...],
        data_samples: SampleList,
        instructions: list[Instruction],
        extra_places: Tensor | None = None,
    ) -> ImageTokens:
        """L feature maps (B, D, H_l, W_l) and instructions to image tokens."""
        language, padding = self.text_encoder([instruction.language for instruction in instructions])
        return self.image_tokenizer(features, language, padding, data_samples, extra_places)

    def project(self, tokens: ImageTokens) -> tuple[Tensor, Tensor]:
        """Contents per layer (layers, B, M, LLM width), and what the LLM reads of the tokens (B, M, LLM width)."""
        content = self.task_decoder.projector.project_content(tokens.embeddings)
        inputs = self.task_decoder.projector(
            content[-1], tokens.places_norm[-1].detach(), tokens.objectness[-1].detach().sigmoid()
        )
        return content, inputs

    def _read(
        self, features: tuple[Tensor, ...], data_samples: SampleList, extra_places: Tensor | None = None
    ) -> tuple[list[Instruction], ImageTokens, Tensor, DecoderState]:
        instructions = self.parse_instructions(data_samples)
        tokens = self.tokenize(features, data_samples, instructions, extra_places)
        content, inputs = self.project(tokens)
        return instructions, tokens, content, self.task_decoder.read(instructions, inputs)

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Losses of a batch by name: L_tok + L_dec (+ alignment), or ``loss_words`` where words are asked for.

        Raises:
            ValueError: also when some images ask for objects and others for words.
        """
        asks_for_words = {instruction.asks_for_words for instruction in self.parse_instructions(batch_data_samples)}
        if len(asks_for_words) > 1:
            raise ValueError(
                'some images of the batch ask for objects and others for words: train on one task per batch'
            )
        read = self._word_losses if asks_for_words.pop() else self._set_losses
        losses = read(self.extract_feat(batch_inputs), batch_data_samples)
        if self.loss_format is not None:
            losses['loss_format'] = self.format_loss(batch_data_samples)
        return losses

    def format_loss(self, data_samples: SampleList) -> Tensor:
        """Loss of reading the output formats off the instructions of B samples, of which no image is needed.

        Zero without ``loss_format``. A ``scrambled_instruction`` is read instead, see :class:`ScrambleWording`.
        """
        if self.loss_format is None:
            return torch.zeros(())
        instructions = []
        for instruction, sample in zip(self.parse_instructions(data_samples), data_samples, strict=True):
            if 'scrambled_instruction' in sample:
                # Among scrambled words the rules find a class set and a format, but not whether words are asked for.
                known = instruction.output_format if instruction.asks_for_words else None
                instruction = parse_instruction(sample.scrambled_instruction, self.vocabulary, known)
            instructions.append(instruction)
        counts = [instruction.num_points for instruction in instructions]
        logits = format_logits(self.task_decoder, instructions, max(1, *counts))
        return self.loss_format(logits, torch.tensor(counts, device=logits.device))

    def _set_losses(self, features: tuple[Tensor, ...], data_samples: SampleList) -> dict[str, Tensor]:
        targets = set_targets(data_samples)
        starts = self._starts(targets, data_samples)
        instructions, tokens, content, state = self._read(
            features, data_samples, None if starts is None else starts.places_norm
        )
        class_logits = self.task_decoder.class_logits(state)
        matches = self.criterion.match(tokens, class_logits, targets)
        num_points = max(instruction.num_points for instruction in instructions)
        point_logits = self.task_decoder.point_logits(state, matches.tokens, num_points)
        names = self._object_names(data_samples) or state.prefix
        losses = self.criterion(tokens, content, class_logits, point_logits, names, matches, targets)
        return losses | self._further_losses(data_samples, tokens, state.token_inputs, names, matches, starts, targets)

    def _object_names(self, data_samples: SampleList) -> NameSets | None:
        """What the objects of all images are called, whatever the instructions ask for; None where it is not known."""
        if any('object_names' not in sample for sample in data_samples):
            return None
        return self.task_decoder.prefix_builder.embed_names([sample.object_names for sample in data_samples])

    def _starts(self, targets: list[SetTargets], data_samples: SampleList) -> NoisyStarts | None:
        if self.denoising is None:
            return None
        return noisy_starts(targets, [sample.get('noise_seed') for sample in data_samples], **self.denoising)

    def _further_losses(
        self,
        data_samples: SampleList,
        tokens: ImageTokens,
        inputs: Tensor,
        names: NameSets | Prefix,
        matches: Matches,
        starts: NoisyStarts | None,
        targets: list[SetTargets],
    ) -> dict[str, Tensor]:
        """What known objects teach besides, whatever is asked for: phrases, outlines, proposals and denoising."""
        losses = self._outline_loss(tokens, inputs, matches, targets)
        if self.loss_asked is not None:
            losses['loss_asked'] = self.loss_asked(
                self.task_decoder, data_samples, inputs, matches.slots(targets), targets
            )
        if tokens.proposals is not None:
            losses |= self.criterion.proposal_losses(
                tokens.proposals, self.task_decoder.projector.project_content, names, targets
            )
        if starts is not None:
            near = self.criterion.match_starts(starts, targets)
            content, inputs = self.project(tokens.extra)
            denoising = self.criterion.denoising_losses(tokens.extra, content, names, near)
            denoising |= self._outline_loss(tokens.extra, inputs, near, targets)
            losses |= {f'dn.{name}': loss for name, loss in denoising.items()}
        return losses

    def _outline_loss(
        self, tokens: ImageTokens, inputs: Tensor, matches: Matches, targets: list[SetTargets]
    ) -> dict[str, Tensor]:
        """Loss of what the point queries of matched tokens say by themselves; nothing where no outlines are known."""
        length = matches.outlines_norm.shape[2]
        if self.criterion.loss_outline is None or length == 0:
            return {}
        # Without the padding it is half the work.
        images, columns = matches.valid.nonzero(as_tuple=True)
        inputs = inputs[images, matches.tokens[images, columns]]
        counts = torch.tensor([target.outlines_norm.shape[1] for target in targets], device=inputs.device)
        point_logits = self.task_decoder.query_point_logits(inputs[:, None], counts[images], length)
        return dict(loss_outline=self.criterion.find_outline_loss(point_logits[:, 0], tokens, matches))

    def _word_losses(self, features: tuple[Tensor, ...], data_samples: SampleList) -> dict[str, Tensor]:
        """Loss of the words and, where the objects of all images are known, of what the tokens should describe."""
        instructions = self.parse_instructions(data_samples)
        names = self._object_names(data_samples)
        targets = set_targets(data_samples) if names else []
        starts = self._starts(targets, data_samples) if names else None
        tokens = self.tokenize(features, data_samples, instructions, None if starts is None else starts.places_norm)
        content, inputs = self.project(tokens)
        answers = [sample.answer for sample in data_samples]
        losses = dict(loss_words=self.loss_words(*answer_logits(self.task_decoder, instructions, inputs, answers)))
        if names:
            matches = self.criterion.match_known(tokens, targets)
            losses |= self.criterion.known_object_losses(tokens, content, names, matches)
            losses |= self._further_losses(data_samples, tokens, inputs, names, matches, starts, targets)
        return losses

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True) -> SampleList:
        """Predictions as mmdet's ``pred_instances``, or as ``pred_text`` where words are asked for.

        ``pred_instances`` has bboxes (xyxy, px), scores, labels and label_names; for named points, or three and more,
        also points (P, N, 2) in px, and for outlines the masks (P, H, W) that they enclose, once more as COCO's RLE in
        mask_rles. ``class_tokens`` (P,) and ``offset_bins`` (P, N, 2) are the most likely tokens of the answers,
        ``<ck>`` and ``<pi>``, i within the range that the instruction states; points are finer, see
        :func:`decode_expected_offsets`.

        Args:
            batch_inputs: (B, 3, H, W).
            batch_data_samples: samples with an ``instruction``; and with ``class_groups``, pairs of instruction and
                ``class_labels``, where there are more classes than one instruction can name. The groups are asked for
                one by one, and the best ``max_per_img`` of all of them are kept.
            rescale: whether the boxes are in pixels of the original images.

        Raises:
            ValueError: when a sample can't be answered; where ``failures`` is a list, any error is noted there instead,
                and the sample gets an empty answer and a ``failure``, see :class:`ReportFailuresHook`.
        """
        if self.failures is None:
            for sample in batch_data_samples:
                if 'failure' in sample:
                    raise ValueError(f'{sample.get("img_path")} could not be loaded: {sample.failure}')
            return self._predict(batch_inputs, batch_data_samples, rescale)
        for sample in batch_data_samples:
            if 'failure' in sample:
                self._fail(sample, sample.failure)
        rows = [i for i, sample in enumerate(batch_data_samples) if 'failure' not in sample]
        try:
            if rows:
                self._predict(batch_inputs[rows], [batch_data_samples[i] for i in rows], rescale)
        except Exception as error:  # whatever it is, the other samples are worth an answer
            if len(rows) == 1:
                self._fail(batch_data_samples[rows[0]], str(error) or type(error).__name__)
            else:
                for i in rows:
                    self.predict(batch_inputs[i : i + 1], batch_data_samples[i : i + 1], rescale)
        return batch_data_samples

    def _fail(self, sample: DetDataSample, reason: str) -> None:
        self.failures.append((sample.get('img_path'), reason))
        sample.set_metainfo(dict(failure=reason))
        self.postprocessor.answer_nothing(sample)

    def _predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool) -> SampleList:
        asks_for_words = [i.asks_for_words for i in self.parse_instructions(batch_data_samples)]
        if any(asks_for_words) and not all(asks_for_words):
            for wanted in (True, False):
                rows = [i for i, words in enumerate(asks_for_words) if words == wanted]
                self._predict(batch_inputs[rows], [batch_data_samples[i] for i in rows], rescale)
            return batch_data_samples
        features = self.extract_feat(batch_inputs)
        if asks_for_words[0]:
            return self._predict_words(features, batch_data_samples)
        results = self._predict_objects(features, batch_data_samples, rescale)
        num_groups = [len(sample.get('class_groups', ())) for sample in batch_data_samples]
        for group in range(1, max(num_groups)):
            rows = [i for i, count in enumerate(num_groups) if count > group]
            asked = [self._ask_group(batch_data_samples[i], group) for i in rows]
            found = self._predict_objects(tuple(level[rows] for level in features), asked, rescale)
            for i, more in zip(rows, found, strict=True):
                results[i] = self.postprocessor.keep_best(InstanceData.cat([results[i], more]))
        return self.add_pred_to_datasample(batch_data_samples, results)

    @staticmethod
    def _ask_group(sample: DetDataSample, group: int) -> DetDataSample:
        text, labels = sample.class_groups[group]
        return DetDataSample(metainfo=sample.metainfo | dict(instruction=text, class_labels=labels))

    def check_instructions(self, texts: list[str]) -> None:
        """Reads instructions without images.

        Raises:
            ValueError: when one can't be read, or is too long for the text encoder or, with its answer, the LLM.
        """
        if not texts:
            return
        instructions = [self._read_without_image(text) for text in texts]
        self.text_encoder.check_lengths([instruction.language for instruction in instructions])
        words = self.generation.get('max_length', 50) + self.task_decoder.num_starts - 1
        self.task_decoder.prefix_builder.check_lengths(
            instructions,
            self.image_tokenizer.num_tokens,
            [words if i.asks_for_words else len(i.output_format) for i in instructions],
        )

    def _read_without_image(self, text: str) -> Instruction:
        """What the rules read, and the LLM of a wording that states no format."""
        try:
            return parse_instruction(text, self.vocabulary)
        except ValueError:
            if self.format_reader is None:
                raise
            return self.format_reader([text])[0]

    def _predict_objects(
        self, features: tuple[Tensor, ...], data_samples: SampleList, rescale: bool
    ) -> list[InstanceData]:
        instructions, tokens, _, state = self._read(features, data_samples)
        selection = self.postprocessor.select(tokens, self.task_decoder.class_logits(state), state.prefix.class_valid)
        num_points = max(instruction.num_points for instruction in instructions)
        logits = self.task_decoder.point_logits(state, selection.tokens, num_points)
        return self.postprocessor(tokens, selection, logits, instructions, data_samples, rescale)

    def _predict_words(self, features: tuple[Tensor, ...], data_samples: SampleList) -> SampleList:
        instructions = self.parse_instructions(data_samples)
        _, inputs = self.project(self.tokenize(features, data_samples, instructions))
        histories = [sample.get('history', ()) for sample in data_samples]
        texts = generate(self.task_decoder, instructions, inputs, histories=histories, **self.generation)
        for sample, text in zip(data_samples, texts, strict=True):
            sample.pred_text = text
        return data_samples

    def _forward(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> tuple[Tensor, ...]:
        """Raw outputs: objectness (B, M), centres (B, M, 2), class logits (B, M, K + 1) and point logits of all
        tokens (B, M, N, 2, 2R + 1)."""
        instructions, tokens, _, state = self._read(self.extract_feat(batch_inputs), batch_data_samples)
        everyone = torch.arange(state.token_inputs.shape[1], device=batch_inputs.device)
        num_points = max(1, *(instruction.num_points for instruction in instructions))
        points = self.task_decoder.point_logits(state, everyone.expand(len(batch_inputs), -1), num_points)
        return tokens.objectness[-1], tokens.centers_norm[-1], self.task_decoder.class_logits(state), points
