from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from seepseg.models.backward import with_quick_backward


def layers() -> nn.Sequential:
    """Both layers, and half of a concatenation, whose gradient lies in memory in steps."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1), nn.PReLU(), nn.Conv2d(4, 2, 1)
    )


def gradients(model: nn.Module, image: Tensor, dtype: torch.dtype | None = None) -> list[Tensor]:
    image = image.clone().requires_grad_()
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        x = model[0](image)
        y = torch.cat([model[1](x), x], 1)
        out = model[2](y[:, :4] + y[:, 4:])
    out.float().square().sum().backward()
    return [out.detach(), image.grad, *(p.grad for p in model.parameters())]


def test_slope_and_bias_by_hand() -> None:
    # x = (−2, 3), slope 1/4: y = (−.5, 3). L = Σ y·(1, 2): dL/dx = (.25, 2), dL/dslope = 1 · −2.
    model = nn.Sequential(nn.PReLU())
    with_quick_backward(model)
    x = torch.tensor([-2.0, 3.0]).reshape(1, 2, 1, 1).requires_grad_()
    y = model(x)
    (y * torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1)).sum().backward()
    assert y.flatten().tolist() == [-0.5, 3.0]
    assert x.grad is not None and x.grad.flatten().tolist() == [0.25, 2.0]
    assert model[0].weight.grad.tolist() == [-2.0]
    # Every one of the 2 · 2 · 4 outputs has the gradient 1.
    model = nn.Sequential(nn.ConvTranspose2d(1, 1, 2, stride=2))
    with_quick_backward(model)
    model(torch.ones(2, 1, 1, 2)).sum().backward()
    assert model[0].bias.grad.tolist() == [16.0]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("dtype", "rtol"), [(None, 1e-5), (torch.bfloat16, 2e-2)])
def test_gradients_are_those_of_torch(layout: torch.memory_format, dtype: torch.dtype | None, rtol: float) -> None:
    theirs = layers().to(memory_format=layout)
    ours = copy.deepcopy(theirs)
    with_quick_backward(ours)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    image = torch.randn(2, 3, 8, 8).contiguous(memory_format=layout)
    out, *grads = gradients(ours, image, dtype)
    expected_out, *expected = gradients(theirs, image, dtype)
    assert torch.equal(out, expected_out)
    for grad, right in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, right, rtol=rtol, atol=rtol * float(right.abs().max()))


def test_a_copy_trains_and_prediction_is_torchs() -> None:
    theirs = layers().eval()
    ours = copy.deepcopy(theirs)
    with_quick_backward(ours)
    image = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(copy.deepcopy(ours)(image), theirs(image))


@pytest.mark.parametrize(("kernel", "stride", "replaced"), [(3, 1, False), (3, 2, True), (5, 1, True), (5, 2, True)])
def test_convolutions_by_channels_that_are_slow_in_bfloat16_compute_in_float32(
    kernel: int, stride: int, replaced: bool
) -> None:
    torch.manual_seed(0)
    theirs = nn.Sequential(nn.Conv2d(4, 4, kernel, stride, kernel // 2, groups=4, bias=False), nn.Conv2d(4, 4, 1))
    ours = copy.deepcopy(theirs)
    with_quick_backward(ours)
    assert (type(ours[0]) is not nn.Conv2d) is replaced
    assert type(ours[1]) is nn.Conv2d
    image = torch.randn(2, 4, 12, 12)
    expected = theirs[0](image).bfloat16()
    expected.float().square().sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        out = ours[0](image)
    out.float().square().sum().backward()
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, expected) is replaced
    assert torch.equal(ours[0].weight.grad, theirs[0].weight.grad) is replaced
    # Without autocast, and with weights of another format, it is torch's.
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        model, reference = copy.deepcopy(ours).to(dtype), copy.deepcopy(theirs).to(dtype)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
            assert torch.equal(model[0](image.to(dtype)), reference[0](image.to(dtype)))
