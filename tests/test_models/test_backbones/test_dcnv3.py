"""DCNv3 against its definition written plainly: zero padding, then one grid_sample per group and point."""

import pytest
import torch
from torch.nn import functional as F

from visionllm_mm.models.backbones import dcnv3 as dcnv3_module
from visionllm_mm.models.backbones.dcnv3 import DCNv3, dcnv3
from visionllm_mm.models.backbones.layout_norm import layout_norm


def plain_dcnv3(value, offset, mask, groups, kernel_size, stride, padding, dilation, offset_scale):
    padded = F.pad(value, (0, 0, padding, padding, padding, padding)).permute(0, 3, 1, 2)
    batch, channels, height, width = padded.shape
    reach = dilation * (kernel_size - 1)
    rows, columns = (height - (reach + 1)) // stride + 1, (width - (reach + 1)) // stride + 1
    center_y = (reach // 2 + 0.5 + torch.arange(rows, dtype=value.dtype) * stride)[:, None].expand(rows, columns)
    center_x = (reach // 2 + 0.5 + torch.arange(columns, dtype=value.dtype) * stride)[None].expand(rows, columns)
    offset = offset.view(batch, rows, columns, groups, kernel_size**2, 2)
    mask = mask.view(batch, rows, columns, groups, kernel_size**2)
    sums = []
    for group, part in enumerate(padded.chunk(groups, dim=1)):
        total = 0
        for kernel_x in range(kernel_size):
            for kernel_y in range(kernel_size):
                point = kernel_x * kernel_size + kernel_y
                x = center_x + (-(reach // 2) + kernel_x * dilation + offset[..., group, point, 0]) * offset_scale
                y = center_y + (-(reach // 2) + kernel_y * dilation + offset[..., group, point, 1]) * offset_scale
                grid = torch.stack([2 * x / width - 1, 2 * y / height - 1], dim=-1)
                sample = F.grid_sample(part, grid, mode='bilinear', padding_mode='zeros', align_corners=False)
                total = total + sample * mask[:, None, ..., group, point]
        sums.append(total)
    return torch.cat(sums, dim=1).permute(0, 2, 3, 1)


def _inputs(kernel_size=3, stride=1, padding=1, dilation=1, groups=2, size=(11, 14), dtype=torch.float32):
    """Value, offset and mask of two images; offsets of about two pixels reach beyond every border."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    rows, columns = ((n + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1 for n in size)
    value = random(2, *size, groups * 3)
    offset = 2 * random(2, rows, columns, groups * kernel_size**2 * 2)
    mask = random(2, rows, columns, groups, kernel_size**2).softmax(dim=-1).flatten(-2)
    return [tensor.to(dtype).requires_grad_() for tensor in (value, offset, mask)]


@pytest.mark.parametrize('dtype, tolerance', [(torch.float32, 1e-5), (torch.float64, 1e-11)])
@pytest.mark.parametrize('offset_scale', [1.0, 1.7])
@pytest.mark.parametrize('dilation', [1, 2])
@pytest.mark.parametrize('kernel_size', [3, 5])
@pytest.mark.parametrize('padding', [0, 1, 2])
@pytest.mark.parametrize('stride', [1, 2])
def test_op_is_its_definition(stride, padding, kernel_size, dilation, offset_scale, dtype, tolerance):
    inputs = _inputs(kernel_size, stride, padding, dilation, dtype=dtype)
    args = (2, kernel_size, stride, padding, dilation, offset_scale)
    found, expected = dcnv3(*inputs, *args), plain_dcnv3(*inputs, *args)
    assert found.dtype == dtype and expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)
    seed = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    gradients = [torch.autograd.grad(output, inputs, seed) for output in (found, expected)]
    apart = [(found - expected).abs().max().item() / expected.abs().max().item()]
    for ours, theirs in zip(*gradients, strict=True):  # of value, offset, mask
        largest = theirs.abs().max().item()
        assert largest > 0.1
        apart.append((ours - theirs).abs().max().item() / largest)
        torch.testing.assert_close(ours, theirs, atol=tolerance * largest, rtol=tolerance)
    print(f'{dtype}: largest relative difference forward {apart[0]:.1e}, backward {max(apart[1:]):.1e}')


@pytest.mark.parametrize('kernel_size, stride, padding, dilation', [(3, 1, 1, 1), (3, 2, 0, 2), (5, 1, 2, 1)])
def test_without_offsets_it_is_a_convolution_whose_kernel_lies_column_by_column(kernel_size, stride, padding, dilation):
    value, offset, _ = _inputs(kernel_size, stride, padding, dilation, groups=1)
    kernel = torch.randn(kernel_size, kernel_size, generator=torch.Generator().manual_seed(2))
    mask = kernel.T.flatten().expand(*offset.shape[:3], -1)
    found = dcnv3(value, torch.zeros_like(offset), mask, 1, kernel_size, stride, padding, dilation)
    expected = F.conv2d(value.permute(0, 3, 1, 2), kernel.expand(3, 1, -1, -1), None, stride, padding, dilation, 3)
    torch.testing.assert_close(found, expected.permute(0, 2, 3, 1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    """The same numbers in float32 give the same result but for the rounding at the end."""
    inputs = _inputs(dtype=dtype)
    expected = dcnv3(*(tensor.float() for tensor in inputs), 2, padding=1).to(dtype)
    found = dcnv3(*inputs, 2, padding=1)
    assert found.dtype == dtype and torch.equal(found, expected)
    found.sum().backward()
    assert all(tensor.grad.dtype == dtype and tensor.grad.isfinite().all() for tensor in inputs)


def test_each_group_moves_by_itself():
    value, offset, mask = _inputs()
    before = dcnv3(value, offset, mask, 2, padding=1)
    offset = offset.detach().clone()
    offset[..., :18] += 0.5
    changed = (dcnv3(value, offset, mask, 2, padding=1) - before).abs().amax(dim=(0, 1, 2))
    assert (changed[:3] > 1e-3).all() and (changed[3:] == 0).all()


class _OnGpu(torch.Tensor):
    """Says of itself that it is on a GPU."""

    is_cuda = property(lambda self: True)


@pytest.mark.parametrize('dtype, computed', [(torch.float32, torch.float32), (torch.bfloat16, torch.float32)])
def test_on_a_gpu_mmcvs_op_is_called_as_it_expects(monkeypatch, dtype, computed):
    """Without a GPU: the arguments are those of the compiled op, and its PyTorch form with them gives the answer."""
    calls = []

    class Recorder:
        @staticmethod
        def apply(value, shapes, starts, locations, weights, images_at_once):
            calls.append((shapes.tolist(), starts.tolist(), images_at_once))
            assert all(x.is_contiguous() and x.dtype == computed for x in (value, locations, weights))
            assert value.shape == (2, 11 * 14, 2, 3) and shapes.dtype == starts.dtype == torch.int64
            return dcnv3_module.multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)

    inputs = [tensor.detach() for tensor in _inputs(dtype=dtype)]
    expected = dcnv3(*inputs, 2, padding=1)
    monkeypatch.setattr(dcnv3_module, 'MultiScaleDeformableAttnFunction', Recorder)
    assert torch.equal(dcnv3(*inputs, 2, padding=1), expected) and not calls
    found = dcnv3(inputs[0].as_subclass(_OnGpu), *inputs[1:], 2, padding=1)
    assert calls == [([[11, 14]], [0], 2)]
    torch.testing.assert_close(found.as_subclass(torch.Tensor), expected)


@pytest.mark.ops
@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
def test_compiled_op_is_the_definition():
    inputs = _inputs(3, 1, 1, 1)
    expected = plain_dcnv3(*inputs, 2, 3, 1, 1, 1, 1.0)
    seed = torch.ones_like(expected)
    expected = (expected, *torch.autograd.grad(expected, inputs, seed))
    on_gpu = [tensor.detach().cuda().requires_grad_() for tensor in inputs]
    found = dcnv3(*on_gpu, 2, 3, 1, 1)
    found = (found, *torch.autograd.grad(found, on_gpu, seed.cuda()))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.cpu(), theirs, atol=1e-4, rtol=1e-4)


def test_shapes_that_do_not_fit_are_refused():
    value, offset, mask = _inputs()
    with pytest.raises(ValueError, match=r'offset has shape \(2, 11, 14, 36\).*11 x 14.*\(2, 9, 12, 36\)'):
        dcnv3(value, offset, mask, 2)
    with pytest.raises(ValueError, match=r'mask has shape \(2, 11, 14, 17\).*\(2, 11, 14, 18\)'):
        dcnv3(value, offset, mask[..., :17], 2, padding=1)
    with pytest.raises(ValueError, match='6 channels and groups=4'):
        dcnv3(value, offset, mask, 4, padding=1)


def _module(seed=0, **kwargs):
    torch.manual_seed(seed)
    return DCNv3(8, 2, **kwargs), torch.randn(2, 5, 7, 8)


def test_a_new_module_takes_the_mean_over_the_kernel():
    module, x = _module()
    mean = F.avg_pool2d(module.input_proj(x).permute(0, 3, 1, 2), 3, stride=1, padding=1)
    torch.testing.assert_close(module(x), module.output_proj(mean.permute(0, 2, 3, 1)))


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(),
        dict(offset_scale=2.0, norm_layer='BN', act_layer='ReLU'),
        dict(dw_kernel_size=5, center_feature_scale=True),
        dict(kernel_size=5),
    ],
)
def test_module_is_its_definition(kwargs):
    module, x = _module(**kwargs)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    k = kwargs.get('kernel_size', 3)
    conv, norm, act = module.dw_conv
    read = conv(x.permute(0, 3, 1, 2))
    read = norm[0](read) if 'norm_layer' in kwargs else norm[1](read.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    read = act(read).permute(0, 2, 3, 1)
    mask = module.mask(read).view(2, 5, 7, 2, k * k).softmax(dim=-1).view(2, 5, 7, -1)
    value = module.input_proj(x)
    out = plain_dcnv3(value, module.offset(read), mask, 2, k, 1, k // 2, 1, kwargs.get('offset_scale', 1.0))
    if 'center_feature_scale' in kwargs:
        scale = (read @ module.center_feature_scale_proj_weight.T + module.center_feature_scale_proj_bias).sigmoid()
        halves = [scale[..., i : i + 1] for i in (0, 1)]
        out = torch.cat(
            [out[..., i * 4 : i * 4 + 4] * (1 - s) + value[..., i * 4 : i * 4 + 4] * s for i, s in enumerate(halves)],
            dim=-1,
        )
    torch.testing.assert_close(module(x), module.output_proj(out), atol=1e-5, rtol=1e-5)


def test_module_under_autocast_learns_in_every_weight():
    module, x = _module(center_feature_scale=True)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    exact = module(x)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        rough = module(x)
    assert rough.dtype == torch.bfloat16 and not torch.equal(rough.float(), exact)
    torch.testing.assert_close(rough.float(), exact, atol=0.1, rtol=0.1)
    rough.float().square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(groups=3), 'channels=8 and groups=3'),
        (dict(groups=0), 'groups=0'),
        (dict(groups=2, kernel_size=4), 'odd.* 4 and 4'),
        (dict(groups=2, dw_kernel_size=2), 'odd.* 3 and 2'),
        (dict(groups=2, norm_layer='GN'), "'LN' or 'BN', got 'GN'"),
    ],
)
def test_bad_arguments_of_the_module(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DCNv3(8, **kwargs)


@pytest.mark.parametrize(
    'kind, given, wanted, index',
    [
        ('LN', 'NHWC', 'NHWC', 0),
        ('LN', 'NCHW', 'NHWC', 1),
        ('LN', 'NCHW', 'NCHW', 1),
        ('LN', 'NHWC', 'NCHW', 0),
        ('BN', 'NCHW', 'NCHW', 0),
        ('BN', 'NCHW', 'NHWC', 0),
        ('BN', 'NHWC', 'NHWC', 1),
        ('BN', 'NHWC', 'NCHW', 1),
    ],
)
def test_norm_between_layouts(kind, given, wanted, index):
    norm = layout_norm(kind, 6, given, wanted)
    assert {name.split('.')[0] for name, _ in norm.named_parameters()} == {str(index)}
    x = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(0)) * 3 + 1
    axes = -1 if kind == 'LN' else (0, 1, 2)
    eps = 1e-6 if kind == 'LN' else 1e-5
    expected = (x - x.mean(axes, keepdim=True)) / (x.var(axes, keepdim=True, unbiased=False) + eps).sqrt()
    found = norm(x if given == 'NHWC' else x.permute(0, 3, 1, 2))
    torch.testing.assert_close(found if wanted == 'NHWC' else found.permute(0, 2, 3, 1), expected, atol=1e-5, rtol=1e-5)
