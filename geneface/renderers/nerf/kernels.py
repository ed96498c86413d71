"""The weighted sum of table rows as Triton kernels: one pass over the rows instead of several over [N, K, F]. Imported only
where Triton is.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256
"""Points of one program."""


@triton.jit
def _sum(table, rows, weights, out, points, corners: tl.constexpr, features: tl.constexpr, block: tl.constexpr):  # noqa: ANN001, ANN202
    point = tl.program_id(0) * block + tl.arange(0, block)
    there = point < points
    feature = tl.arange(0, features)
    total = tl.zeros((block, features), tl.float32)
    for corner in range(corners):
        row = tl.load(rows + point * corners + corner, mask=there, other=0).to(tl.int64)
        weight = tl.load(weights + point * corners + corner, mask=there, other=0.0)
        values = tl.load(table + row[:, None] * features + feature[None, :], mask=there[:, None], other=0.0)
        total += weight[:, None] * values
    tl.store(out + point[:, None] * features + feature[None, :], total, mask=there[:, None])


@triton.jit
def _spread(  # noqa: ANN202
    table, rows, weights, gradient, table_gradient, weight_gradient, points,  # noqa: ANN001
    corners: tl.constexpr, features: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    point = tl.program_id(0) * block + tl.arange(0, block)
    there = point < points
    feature = tl.arange(0, features)
    given = tl.load(gradient + point[:, None] * features + feature[None, :], mask=there[:, None], other=0.0)
    for corner in range(corners):
        row = tl.load(rows + point * corners + corner, mask=there, other=0).to(tl.int64)
        weight = tl.load(weights + point * corners + corner, mask=there, other=0.0)
        place = row[:, None] * features + feature[None, :]
        tl.atomic_add(table_gradient + place, weight[:, None] * given, mask=there[:, None])
        values = tl.load(table + place, mask=there[:, None], other=0.0)
        tl.store(weight_gradient + point * corners + corner, tl.sum(values * given, axis=1), mask=there)


def forward(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Float32 table [R, F] (F a power of two), rows [N, K], weights [N, K] to [N, F]."""
    out = torch.empty(len(rows), table.shape[1], device=table.device)
    if len(rows):
        blocks = (triton.cdiv(len(rows), BLOCK),)
        _sum[blocks](table, rows.contiguous(), weights.contiguous(), out, len(rows), rows.shape[1], table.shape[1], BLOCK)
    return out


def backward(table: Tensor, rows: Tensor, weights: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of table [R, F] and weights [N, K] from that of the sum [N, F]. Rows are added in any order."""
    of_table, of_weights = torch.zeros_like(table), torch.empty_like(weights)
    if len(rows):
        blocks = (triton.cdiv(len(rows), BLOCK),)
        given = (table, rows.contiguous(), weights.contiguous(), gradient.contiguous(), of_table, of_weights)
        _spread[blocks](*given, len(rows), rows.shape[1], table.shape[1], BLOCK)
    return of_table, of_weights
