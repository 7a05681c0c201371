"""BatchNorm over the batch of a step where several processes each hold a part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

IMAGES_AND_PIXELS = (0, 2, 3)


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` with the statistics of the whole batch, whatever part of it each process holds.

    A binary network sees the sign of what is normalised, so that statistics of an eighth of a batch are not a detail:
    with these a run on eight devices is the same experiment as on one. PyTorch's SyncBatchNorm does the same on
    accelerators only.
    """

    # Its collective must run in every process at the same place; a compiler would have to guess that.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        mean, variance, count = global_statistics(x)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), momentum)
        normalize: Callable[..., Tensor] = _Normalize.apply
        return normalize(x, self.weight, self.bias, mean, variance, count, self.eps)


@torch.no_grad()
def global_statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance of each channel over the parts of all processes, and the values a channel has.

    Shape: (N, C, H, W) to (C,), (C,), (), float32. Each part's variance is about its own mean, and parts are joined as
    by Chan et al. 1979: differences of large sums of squares never occur.
    """
    variance, mean = torch.var_mean(x.float(), IMAGES_AND_PIXELS, correction=0)
    mine = torch.cat([mean, variance, mean.new_tensor([x.numel() / x.shape[1]])])
    parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, mine)
    means, variances, counts = torch.tensor_split(torch.stack(parts), (len(mean), 2 * len(mean)), dim=1)
    count = counts.sum()
    shares = counts / count
    overall = (shares * means).sum(0)
    return overall, (shares * (variances + (means - overall).square())).sum(0), count


class _Normalize(torch.autograd.Function):
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, where mean and variance depend on every process's x.

    Backward, over the count n of all processes and x̂ = (x - mean) / sqrt(variance + eps):
    dx = weight / sqrt(variance + eps) * (dy - Σdy / n - x̂ Σ(dy x̂) / n).
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.eps = eps  # type: ignore[attr-defined]
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance, count = ctx.saved_tensors
        shape = (1, -1, 1, 1)
        inverse = torch.rsqrt(variance + ctx.eps)
        dy = dy.float()
        normalised = (x.float() - mean.view(shape)) * inverse.view(shape)
        # Of this process's part: it is also the gradient of bias and weight, which are summed with all others.
        sums = torch.stack([dy.sum(IMAGES_AND_PIXELS), (dy * normalised).sum(IMAGES_AND_PIXELS)])
        everywhere = sums.clone()
        dist.all_reduce(everywhere)
        offset, slope = (everywhere / count).view(2, *shape)
        dx = (dy - offset - normalised * slope) * (inverse * weight).view(shape)
        return dx.to(x.dtype), sums[1], sums[0], None, None, None, None


def with_global_batchnorm(network: nn.Module) -> nn.Module:
    """The same network, its BatchNorms replaced; parameters, buffers and their names stay."""
    for name, child in network.named_children():
        if type(child) is nn.BatchNorm2d:
            setattr(network, name, _global(child))
        else:
            with_global_batchnorm(child)
    return network


def _global(norm: nn.BatchNorm2d) -> GlobalBatchNorm2d:
    replacement = GlobalBatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    replacement.weight, replacement.bias = norm.weight, norm.bias
    for name, buffer in norm.named_buffers():
        setattr(replacement, name, buffer)
    return replacement.train(norm.training)
