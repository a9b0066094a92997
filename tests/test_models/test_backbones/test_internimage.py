"""InternImage: the authors' parameter names and sizes, its forward pass written out, and its place in VisionLLM."""

import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader

from tests.helpers.tiny import batch, model_config
from visionllm_mm.compat.safe_checkpoints import use_safe_checkpoint_loading
from visionllm_mm.models.backbones.internimage import ARCHS, InternImage

TINY = dict(channels=8, depths=[1, 1, 3, 1], groups=[1, 2, 4, 8], drop_path_rate=0.0)
LIKE_T = TINY | dict(layer_scale=1.0)
LIKE_S = TINY | dict(layer_scale=1.0, post_norm=True, offset_scale=2.0)
LIKE_H = TINY | dict(
    dw_kernel_size=5,
    res_post_norm=True,
    level2_post_norm=True,
    level2_post_norm_block_ids=[0, 2],
    center_feature_scale=True,
)
PLAIN = dict(
    T=LIKE_T,
    S=LIKE_S,
    H=LIKE_H,
    pre=TINY,
    post=TINY | dict(post_norm=True),
    post_center=LIKE_S | dict(center_feature_scale=True),
    batch_norm=LIKE_T | dict(norm_layer='BN', act_layer='ReLU'),
)


def build(seed=0, **kwargs):
    """Weights at which every part of the network shows in its output."""
    torch.manual_seed(seed)
    model = InternImage(**kwargs)
    for name, parameter in model.named_parameters():
        scale = 0.1 if 'offset' in name or 'mask' in name else 0.3
        torch.nn.init.normal_(parameter, mean=float('norm' in name and 'weight' in name), std=scale)
    return model


def images(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def authors_shapes(
    channels, depths, groups, layer_scale=None, post_norm=False, dw=3, res_post_norm=False, level2_ids=(), center=False
):
    """Names and shapes of the authors' state dict with layer norms, from their description."""
    half = channels // 2
    shapes = {
        'patch_embed.conv1.weight': (half, 3, 3, 3),
        'patch_embed.conv1.bias': (half,),
        'patch_embed.norm1.1.weight': (half,),
        'patch_embed.norm1.1.bias': (half,),
        'patch_embed.conv2.weight': (channels, half, 3, 3),
        'patch_embed.conv2.bias': (channels,),
        'patch_embed.norm2.1.weight': (channels,),
        'patch_embed.norm2.1.bias': (channels,),
    }

    def norm(name, size):
        shapes.update({f'{name}.weight': (size,), f'{name}.bias': (size,)})

    def linear(name, inputs, outputs):
        shapes.update({f'{name}.weight': (outputs, inputs), f'{name}.bias': (outputs,)})

    for i, (depth, g) in enumerate(zip(depths, groups, strict=True)):
        c = channels * 2**i
        for j in range(depth):
            block = f'levels.{i}.blocks.{j}'
            for name in ('norm1.0', 'norm2.0', 'dcn.dw_conv.1.1'):
                norm(f'{block}.{name}', c)
            shapes.update({f'{block}.dcn.dw_conv.0.weight': (c, 1, dw, dw), f'{block}.dcn.dw_conv.0.bias': (c,)})
            linear(f'{block}.dcn.offset', c, g * 18)
            linear(f'{block}.dcn.mask', c, g * 9)
            linear(f'{block}.dcn.input_proj', c, c)
            linear(f'{block}.dcn.output_proj', c, c)
            linear(f'{block}.mlp.fc1', c, 4 * c)
            linear(f'{block}.mlp.fc2', 4 * c, c)
            if center:
                shapes.update(
                    {
                        f'{block}.dcn.center_feature_scale_proj_weight': (g, c),
                        f'{block}.dcn.center_feature_scale_proj_bias': (g,),
                    }
                )
            if layer_scale is not None:
                shapes.update({f'{block}.gamma1': (c,), f'{block}.gamma2': (c,)})
            if res_post_norm:
                norm(f'{block}.res_post_norm1.0', c)
                norm(f'{block}.res_post_norm2.0', c)
        if not post_norm or center:
            norm(f'levels.{i}.norm.0', c)
        if i == 2:
            for k in range(len(level2_ids)):
                norm(f'levels.2.post_norms.{k}.0', c)
        if i < len(depths) - 1:
            shapes[f'levels.{i}.downsample.conv.weight'] = (2 * c, c, 3, 3)
            norm(f'levels.{i}.downsample.norm.1', 2 * c)
    return shapes


POST = dict(layer_scale=1.0, post_norm=True)
# Published totals in millions; those of T to XL count the classifier.
PUBLISHED = {
    'T': (30, dict(channels=64, depths=(4, 4, 18, 4), groups=(4, 8, 16, 32), layer_scale=1.0)),
    'S': (50, dict(channels=80, depths=(4, 4, 21, 4), groups=(5, 10, 20, 40), **POST)),
    'B': (97, dict(channels=112, depths=(4, 4, 21, 4), groups=(7, 14, 28, 56), **POST)),
    'L': (223, dict(channels=160, depths=(5, 5, 22, 5), groups=(10, 20, 40, 80), **POST)),
    'XL': (335, dict(channels=192, depths=(5, 5, 24, 5), groups=(12, 24, 48, 96), **POST)),
    'H': (
        1080,
        dict(
            channels=320,
            depths=(6, 6, 32, 6),
            groups=(10, 20, 40, 80),
            dw=5,
            res_post_norm=True,
            level2_ids=(5, 11, 17, 23, 29),
            center=True,
        ),
    ),
}


@pytest.mark.parametrize('arch', ARCHS)
def test_names_shapes_and_number_of_parameters_are_the_authors(arch):
    with torch.device('meta'):
        model = InternImage(arch)
    found = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    published, settings = PUBLISHED[arch]
    assert found == authors_shapes(**settings)
    total = sum(math.prod(shape) for shape in found.values())
    if arch != 'H':  # a convolution to 1.5 x the channels, batch norm, 1000 classes
        features = 8 * settings['channels']
        hidden = int(1.5 * features)
        total += features * hidden + 2 * hidden + hidden * 1000 + 1000
    assert total / 1e6 == pytest.approx(published, rel=0.01)


def test_options_that_leave_no_trace_in_the_names():
    rates = {'T': 0.2, 'S': 0.3, 'B': 0.3, 'L': 0.4, 'XL': 0.4, 'H': 0.5}
    for arch in ARCHS:
        with torch.device('meta'):
            levels = InternImage(arch).levels
        assert levels[0].blocks[0].drop_path.drop_prob == 0
        assert levels[3].blocks[-1].drop_path.drop_prob == pytest.approx(rates[arch])
        assert {block.dcn.offset_scale for level in levels for block in level.blocks} == {
            2.0 if arch in ('L', 'XL') else 1.0
        }
        assert levels[2].post_norm_block_ids == ([5, 11, 17, 23, 29] if arch == 'H' else [])


@pytest.mark.parametrize(
    'settings, expected',
    [
        (LIKE_T, dict(layer_scale=1.0)),
        (LIKE_S, POST),
        (PLAIN['post_center'], POST | dict(center=True)),
        (LIKE_H, dict(dw=5, res_post_norm=True, level2_ids=(0, 2), center=True)),
    ],
)
def test_names_and_shapes_of_tiny_models(settings, expected):
    found = {name: tuple(tensor.shape) for name, tensor in InternImage(**settings).state_dict().items()}
    assert found == authors_shapes(8, [1, 1, 3, 1], [1, 2, 4, 8], **expected)


def test_names_with_batch_norm():
    names = set(InternImage(**TINY, norm_layer='BN').state_dict())
    for name in (
        'patch_embed.norm1.0',
        'patch_embed.norm2.0',
        'levels.0.downsample.norm.0',
        'levels.0.blocks.0.dcn.dw_conv.1.0',
    ):
        assert {f'{name}.{kind}' for kind in ('weight', 'bias', 'running_mean', 'running_var')} <= names
    assert {'levels.0.blocks.0.norm1.0.weight', 'levels.0.norm.0.weight'} <= names
    assert not any('.norm1.1.' in name or '.dw_conv.1.1.' in name for name in names)


def test_settings_go_before_the_size():
    with torch.device('meta'):
        model = InternImage('H', depths=[2, 2, 3, 2], level2_post_norm_block_ids=[1], drop_path_rate=0.0, mlp_ratio=2.0)
    assert model.settings.channels == 320 and [len(level.blocks) for level in model.levels] == [2, 2, 3, 2]
    assert len(model.levels[2].post_norms) == 1 and model.levels[0].blocks[0].mlp.fc1.out_features == 640
    with torch.device('meta'):
        assert InternImage('T', layer_scale=None).levels[0].blocks[0].gamma1 is None


def _written_out(model, x, settings):
    """The forward pass as the paper and the authors' configs describe it."""

    def norms(layers, x):
        for layer in layers:
            x = layer(x)
        return x

    embed = model.patch_embed
    x = embed.conv2(embed.act(norms(embed.norm1, embed.conv1(x))))
    x, maps = norms(embed.norm2, x), []
    for i, level in enumerate(model.levels):
        for j, block in enumerate(level.blocks):
            for part, norm, gamma, after in (
                (block.dcn, block.norm1[0], block.gamma1, block.res_post_norm1),
                (block.mlp, block.norm2[0], block.gamma2, block.res_post_norm2),
            ):
                if settings.get('post_norm'):
                    added = norm(part(x))
                elif settings.get('res_post_norm'):
                    added = after[0](part(norm(x)))
                else:
                    added = part(norm(x))
                x = x + (added * gamma if 'layer_scale' in settings else added)
            if i == 2 and j in settings.get('level2_post_norm_block_ids', ()):
                x = level.post_norms[{0: 0, 2: 1}[j]][0](x)
        if not settings.get('post_norm') or settings.get('center_feature_scale'):
            x = level.norm[0](x)
        maps.append(x.permute(0, 3, 1, 2))
        if i < 3:
            x = norms(level.downsample.norm, level.downsample.conv(maps[-1]))
    return maps


@pytest.mark.parametrize('name', PLAIN)
def test_forward_is_its_description(name):
    model, x = build(**PLAIN[name]).eval(), images(2, 3, 32, 64)
    found, expected = model(x), _written_out(model, x, PLAIN[name])
    assert isinstance(found, tuple) and all(level.is_contiguous() for level in found)
    assert [tuple(level.shape) for level in found] == [(2, 8 * 2**i, 8 // 2**i, 16 // 2**i) for i in range(4)]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.std() > 0.1
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('height, width', [(33, 47), (65, 31), (5, 1)])
def test_odd_sizes_are_rounded_up(height, width):
    model = build(**LIKE_H).eval()
    shapes = [tuple(level.shape[2:]) for level in model(images(1, 3, height, width))]
    assert shapes == [(math.ceil(height / 2**i), math.ceil(width / 2**i)) for i in range(2, 6)]


def test_out_indices_pick_levels():
    x = images(1, 3, 32, 32)
    everything = build(**LIKE_S)(x)
    some = build(**LIKE_S, out_indices=(1, 3))(x)
    assert len(some) == 2 and torch.equal(some[0], everything[1]) and torch.equal(some[1], everything[3])


@pytest.mark.parametrize('settings', [LIKE_T, LIKE_S, LIKE_H])
def test_checkpointing_changes_neither_outputs_nor_gradients(settings):
    settings, x, results = settings | dict(drop_path_rate=0.3, drop_rate=0.1), images(6, 3, 32, 32), []
    for with_cp in (False, True):
        model, calls = build(**settings, with_cp=with_cp).train(), []
        for level in model.levels:
            for block in level.blocks:
                block.dcn.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        torch.manual_seed(3)
        outputs = model(x)
        sum(level.square().mean() for level in outputs).backward()
        assert len(calls) == (12 if with_cp else 6)  # each block once more for the gradients
        results.append([*outputs, *(parameter.grad for parameter in model.parameters())])
    assert all(torch.equal(plain, saved) for plain, saved in zip(*results, strict=True))
    assert all(tensor is not None and tensor.any() for tensor in results[0])


@pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 2, 4])
@pytest.mark.parametrize('settings', [PLAIN['batch_norm'], LIKE_H])
def test_frozen_stages(settings, frozen_stages):
    model = build(**settings, frozen_stages=frozen_stages, with_cp=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    parts = ('patch_embed.', 'pos_drop.', *(f'levels.{i}.' for i in range(4)))
    frozen = parts[: frozen_stages + 2] if frozen_stages >= 0 else ()
    assert {p.requires_grad for name, p in model.named_parameters() if name.startswith(frozen)} <= {False}
    for _ in range(2):
        assert model.train() is model and model.training
        for name, parameter in model.named_parameters():
            assert parameter.requires_grad != name.startswith(frozen), name
        for name, module in model.named_modules():
            if name.startswith(tuple(part[:-1] for part in parts)):
                assert module.training != f'{name}.'.startswith(frozen), name
        outputs = model(images(2, 3, 32, 32))
        if frozen_stages < 4:
            sum(level.mean() for level in outputs).backward()
        assert not any(module.training for module in model.eval().modules())
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == name.startswith(frozen), name
    for name, tensor in model.state_dict().items():
        if 'running_mean' in name:
            assert torch.equal(tensor, before[name]) == name.startswith(frozen), name


def test_drop_path_rates():
    assert _rates(drop_path_rate=0.5) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert _rates(drop_path_rate=0.5, drop_path_type='uniform') == [0.5] * 6


def _rates(**kwargs):
    return [block.drop_path.drop_prob for level in InternImage(**TINY | kwargs).levels for block in level.blocks]


@pytest.mark.parametrize('settings', [dict(drop_path_rate=0.5, drop_path_type='uniform'), dict(drop_rate=0.5)])
def test_drop_path_and_dropout_only_in_training(settings):
    model, plain = build(**LIKE_T | settings), build(**LIKE_T).eval()
    x = images(4, 3, 32, 32)
    for training in (True, False):
        model.train(training)
        first, second = model(x)[3], model(x)[3]
        assert torch.equal(first, second) != training
        assert torch.equal(first, plain(x)[3]) != training


def test_dropout_behind_the_stem():
    model, inputs = build(**LIKE_T, drop_rate=0.5).train(), []
    model.levels[0].register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    model(images(4, 3, 64, 64))
    assert 0.45 < (inputs[0] == 0).float().mean() < 0.55


def test_weights_at_first():
    torch.manual_seed(0)
    block = InternImage(**LIKE_H | dict(channels=32)).levels[3].blocks[0]
    for layer in (block.mlp.fc1, block.mlp.fc2):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02) and not layer.bias.any()
    dcn, bound = block.dcn, math.sqrt(6 / (2 * 256))
    for layer in (dcn.input_proj, dcn.output_proj):
        assert layer.weight.abs().max().item() == pytest.approx(bound, rel=0.01) and not layer.bias.any()
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    for layer in (dcn.offset, dcn.mask):
        assert not layer.weight.any() and not layer.bias.any()
    assert not dcn.center_feature_scale_proj_weight.any() and not dcn.center_feature_scale_proj_bias.any()
    assert (InternImage(**LIKE_T | dict(layer_scale=0.5)).levels[0].blocks[0].gamma1 == 0.5).all()


def _official(model, wrapping):
    """A checkpoint as the authors' detectors or classifiers have it."""
    weights = model.state_dict()
    if wrapping == 'detector':
        weights = {f'backbone.{name}': tensor for name, tensor in weights.items()}
        return dict(meta=dict(epoch=12), state_dict=weights | {'bbox_head.fc.weight': torch.zeros(2, 2)})
    head = {'conv_head.0.weight': torch.zeros(96, 64, 1, 1), 'head.weight': torch.zeros(1000, 96)}
    return dict(model=weights | head, epoch=299, max_accuracy=83.5)


@pytest.mark.parametrize(
    'wrapping, prefix',
    [('detector', dict(prefix='backbone.')), ('detector', dict(prefix='backbone')), ('classifier', dict())],
)
@pytest.mark.parametrize('settings', [LIKE_T, LIKE_H])
def test_checkpoints_of_the_authors_load(tmp_path, monkeypatch, settings, wrapping, prefix):
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    use_safe_checkpoint_loading()
    source = build(seed=1, **settings).eval()
    torch.save(_official(source, wrapping), tmp_path / 'official.pth')
    model = MODELS.build(
        dict(
            type='mmdet.InternImage',
            **settings,
            init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'official.pth'), **prefix),
        )
    ).eval()
    x = images(1, 3, 32, 32)
    assert not torch.allclose(model(x)[3], source(x)[3], atol=1e-3)
    model.init_weights()
    for found, expected in zip(model(x), source(x), strict=True):
        assert torch.equal(found, expected)


def test_classifiers_weights_also_load_by_torch():
    source, model = build(seed=1, **LIKE_T), build(**LIKE_T)
    missing = model.load_state_dict(_official(source, 'classifier'), strict=False).missing_keys
    assert missing == [] and all(map(torch.equal, model.parameters(), source.parameters()))


class Payload:
    """Stands for a class that a foreign checkpoint brings along."""


def test_checkpoints_with_code_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    use_safe_checkpoint_loading()
    path = str(tmp_path / 'official.pth')
    torch.save(_official(build(**LIKE_T), 'classifier') | dict(config=Payload()), path)
    model = InternImage(**LIKE_T, init_cfg=dict(type='Pretrained', checkpoint=path))
    with pytest.raises(RuntimeError, match='could run code.*Payload'):
        model.init_weights()


def test_weights_of_something_else_are_refused(tmp_path):
    path = str(tmp_path / 'official.pth')
    torch.save(_official(build(**LIKE_T), 'detector'), path)
    model = InternImage(**LIKE_T, init_cfg=dict(type='Pretrained', checkpoint=path))
    with pytest.raises(ValueError, match=r"no InternImage: it has \['backbone', 'bbox_head'\].*prefix='backbone.'"):
        model.init_weights()


def test_weights_of_another_size_are_refused(tmp_path):
    path = str(tmp_path / 'official.pth')
    torch.save(_official(build(**LIKE_T), 'classifier'), path)
    model = InternImage(**(LIKE_T | dict(depths=[1, 1, 4, 1])), init_cfg=dict(type='Pretrained', checkpoint=path))
    with pytest.raises(ValueError, match=r'of another size: \d+ of \d+ .*first levels.2.blocks.3.*missing there'):
        model.init_weights()


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(), r"needs channels and depths and groups, or arch, one of \['T', 'S', 'B', 'L', 'XL', 'H'\]"),
        (dict(arch='M'), r"arch must be one of \['T', .*got 'M'"),
        (TINY | dict(groups=[1, 2, 3, 8]), r'level 2 has 32 channels, which groups\[2\]=3 does not divide'),
        (TINY | dict(groups=[1, 2, 4]), r'depths=\[1, 1, 3, 1\] and groups=\[1, 2, 4\]'),
        (LIKE_H | dict(level2_post_norm_block_ids=[0, 3]), r'from 0 to 2, as level 2 has 3 blocks; got \[0, 3\]'),
        (LIKE_H | dict(level2_post_norm_block_ids=[-1]), r'got \[-1\]'),
        (LIKE_H | dict(level2_post_norm_block_ids=[1, 1]), r'different ones .* got \[1, 1\]'),
        (LIKE_H | dict(level2_post_norm_block_ids=None), 'needs level2_post_norm_block_ids.* got None'),
        (LIKE_H | dict(depths=[1, 1], groups=[1, 2]), 'level 2 has 0 blocks'),
        (LIKE_H | dict(layer_scale=1.0), 'res_post_norm goes neither .* layer_scale=1.0'),
        (LIKE_H | dict(post_norm=True), 'res_post_norm goes neither .*post_norm=True'),
        (TINY | dict(drop_path_type='cosine'), "'linear' or 'uniform', got 'cosine'"),
        (TINY | dict(norm_layer='GN'), "norm_layer must be 'LN' or 'BN', got 'GN'"),
        (TINY | dict(out_indices=(1, 4)), r'levels from 0 to 3, got \(1, 4\)'),
        (TINY | dict(out_indices=()), r'levels from 0 to 3, got \(\)'),
        (TINY | dict(frozen_stages=5), r'frozen_stages must be -1 \(none\) to 4 \(all\), got 5'),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        InternImage(**kwargs)


@pytest.mark.parametrize('settings', [LIKE_T, LIKE_H])
def test_as_the_backbone_of_visionllm(settings):
    init_default_scope('mmdet')
    torch.manual_seed(0)
    cfg = model_config().model
    cfg.backbone = dict(type='InternImage', **settings | dict(drop_path_rate=0.1), out_indices=(1, 2, 3), with_cp=True)
    cfg.neck.in_channels = [16, 32, 64]
    model = MODELS.build(cfg).train()
    model.init_weights()
    pixels, samples = batch([2, 0, 1])
    losses = model.loss(pixels, samples)
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    assert [name for name, p in model.backbone.named_parameters() if p.grad is None] == []
    assert model.backbone.levels[0].blocks[0].dcn.offset.weight.grad.any()
    with torch.no_grad():
        results = model.eval().predict(pixels, samples)
    assert [len(result.pred_instances) for result in results] == [80] * 3
    assert all(result.pred_instances.bboxes.isfinite().all() for result in results)
