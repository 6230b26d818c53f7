"""Attention with an additive bias, and the choice of kernel that derivatives need."""

import torch
from torch import Tensor
from torch.nn import functional

KINDS = ("auto", "math", "sdpa")


def attention_weights(q: Tensor, k: Tensor, bias: Tensor) -> Tensor:
    """Softmax of the scaled inner products plus `bias`; any derivative, any transform.

    Args:
        q: queries, (batch, heads, n, c).
        k: keys, (batch, heads, n, c).
        bias: broadcastable to (batch, heads, n, n), -inf at masked keys.

    Returns: (batch, heads, n, n), each row of sum 1.
    """
    return torch.softmax(
        torch.baddbmm(
            bias.expand(*q.shape[:2], q.shape[2], k.shape[2]).flatten(0, 1),
            q.flatten(0, 1),
            k.flatten(0, 1).transpose(-2, -1),
            alpha=q.shape[-1] ** -0.5,
        ),
        -1,
    ).unflatten(0, q.shape[:2])


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, kind: str = "auto") -> Tensor:
    """Average of the values under the softmax of scaled inner products plus `bias`.

    Args:
        q: queries, (batch, heads, n, c).
        k: keys, (batch, heads, n, c).
        v: values, (batch, heads, n, c).
        bias: broadcastable to (batch, heads, n, n), -inf at masked keys.
        kind: "sdpa" is the fused kernel; on CPU it has no double backward and no forward-mode
            derivative, and falls to math when the bias needs a gradient. "math" has every
            derivative. "auto" takes "sdpa" only where no derivative can be asked for: no gradient
            is recorded and no forward-mode or `torch.func` transform is active.

    Returns: (batch, heads, n, c).
    Raises: ValueError if `kind` is none of `KINDS`.
    """
    if kind not in KINDS:
        raise ValueError(f"attention: expected one of {KINDS}, got {kind!r}")
    if kind == "auto":
        transformed = (
            torch._C._functorch.peek_interpreter_stack() is not None
            or torch.autograd.forward_ad._current_level >= 0
        )
        kind = "math" if torch.is_grad_enabled() or transformed else "sdpa"
    if kind == "sdpa":
        bias = bias.expand(*q.shape[:3], k.shape[2])
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return attention_weights(q, k, bias) @ v
