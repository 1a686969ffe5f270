"""One training step in PyTorch with the package's loss, L2 and optimizer."""

from collections.abc import Callable

import torch
from torch import nn

from nucseg_jax.torch_models.segmenter import added_kernels

SMOOTH = 1e-6


def dice_loss(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Eq. 4 of the paper as the package reads it, the mean over images.

    Args:
      logits: floating [N, 1, H, W].
      label: uint8 [N, H, W], any positive number is nucleus.
    """
    probability = torch.sigmoid(logits[:, 0])
    truth = (label > 0).to(probability.dtype)
    overlap = (probability * truth).sum((1, 2))
    total = probability.square().sum((1, 2)) + truth.sum((1, 2))
    return (1.0 - (2.0 * overlap + SMOOTH) / (total + SMOOTH)).mean()


def make_optimizer(model: nn.Module, *, lr: float, l2: float) -> torch.optim.Adam:
    """Adam, fused, the fastest PyTorch has; `weight_decay` is the gradient of l2 * sum(w^2), before Adam scales it.

    Its epsilon is added after the bias correction, Keras's before it: as much arithmetic.
    """
    kernels = added_kernels(model)
    chosen = {id(kernel) for kernel in kernels}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    groups = [{"params": kernels, "weight_decay": 2.0 * l2}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.Adam(groups, lr=lr, eps=1e-7, fused=True)


@torch.no_grad()
def l2_penalty(optimizer: torch.optim.Adam) -> torch.Tensor:
    """What Keras adds to the reported loss: l2 * sum(w^2) over the groups that have weight decay."""
    penalty = torch.zeros(())
    for group in optimizer.param_groups:
        if group["weight_decay"]:
            norms = torch.stack(torch._foreach_norm(group["params"]))
            penalty = penalty.to(norms) + group["weight_decay"] / 2.0 * norms.square().sum()
    return penalty


def make_train_step(
    model: nn.Module,
    optimizer: torch.optim.Adam,
    image: torch.Tensor,
    label: torch.Tensor,
    *,
    autocast: bool,
    transform: Callable[[Callable[[], torch.Tensor]], Callable[[], torch.Tensor]],
) -> Callable[[], dict[str, torch.Tensor]]:
    """The step on one fixed batch.

    Args:
      model, optimizer: in training mode; `make_optimizer`'s.
      image: uint8 [N, 3, H, W], channels_last.
      label: uint8 [N, H, W].
      autocast: whether to compute in bfloat16 where autocast does.
      transform: of forward pass and loss: the identity, or torch.compile.

    Returns:
      A function without arguments to `dice_loss`, `l2_penalty` and `loss`, on the device.
    """
    device = image.device.type

    def forward() -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            logits = model(image)
        return dice_loss(logits, label)

    forward_and_loss = transform(forward)

    def step() -> dict[str, torch.Tensor]:
        optimizer.zero_grad(set_to_none=True)
        dice = forward_and_loss()
        dice.backward()
        optimizer.step()
        penalty = l2_penalty(optimizer)
        return {"dice_loss": dice.detach(), "l2_penalty": penalty, "loss": dice.detach() + penalty}

    return step


def make_inference(
    model: nn.Module,
    image: torch.Tensor,
    *,
    autocast: bool,
    transform: Callable[[Callable[[], torch.Tensor]], Callable[[], torch.Tensor]],
) -> Callable[[], torch.Tensor]:
    """Logits of one fixed batch, in inference mode; arguments as in `make_train_step`."""
    device = image.device.type

    def forward() -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            return model(image)

    transformed = transform(forward)

    def infer() -> torch.Tensor:
        with torch.inference_mode():
            return transformed()

    return infer
