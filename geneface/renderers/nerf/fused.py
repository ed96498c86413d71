"""The costly operation of a grid, the weighted sum of table rows, in one place: Triton kernels on CUDA where Triton is, torch
elsewhere; both give the same numbers.
"""

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def weighted_rows(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """sum_k weights[n, k] * table[rows[n, k]]: table [R, F], rows [N, K] and weights [N, K] to [N, F]."""
    summed: Callable[..., Tensor] = (_Fused if way(table.device) == "triton" else _Gather).apply
    return summed(table, rows, weights)


def way(device: torch.device) -> str:
    """`triton` or `torch`: what computes on this device, for reports."""
    return "triton" if device.type == "cuda" and _has_triton() else "torch"


@cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


class _Gather(torch.autograd.Function):
    """Keeps no [N, K, F] between forward and backward, and adds into the table row by row: autograd's own way through an
    embedding is several times slower on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(table, rows, weights)
        return functional.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        table, rows, weights = ctx.saved_tensors
        flat = rows.flatten().long()  # int32 takes a slow way through index_add
        table_gradient, weight_gradient = None, None
        if ctx.needs_input_grad[0]:
            added = (weights[..., None] * gradient[:, None]).flatten(0, 1)
            table_gradient = torch.zeros_like(table).index_add_(0, flat, added)
        if ctx.needs_input_grad[2]:
            weight_gradient = (table.index_select(0, flat).view(*rows.shape, -1) * gradient[:, None]).sum(-1)
        return table_gradient, None, weight_gradient


class _Fused(torch.autograd.Function):
    """The same by the kernels."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        from geneface.renderers.nerf import kernels  # noqa: PLC0415 - only where Triton is

        ctx.save_for_backward(table, rows, weights)
        return kernels.forward(table, rows, weights)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor]:
        from geneface.renderers.nerf import kernels  # noqa: PLC0415

        table, rows, weights = ctx.saved_tensors
        table_gradient, weight_gradient = kernels.backward(table, rows, weights, gradient)
        return table_gradient, None, weight_gradient
