"""Linear warm-up and half a cosine (arXiv:1608.03983, without restarts): a pure function of the step."""

import optax


def cosine_schedule(*, total_steps: int, warmup_steps: int, final_factor: float) -> optax.Schedule:
    """Returns the factor on the learning rate at a step, float32 [], of steps counted from 0.

    It rises by equal amounts to 1 at the last step of the warm-up, and falls to `final_factor` at the last of all.

    Args:
      total_steps: > `warmup_steps`; the factor stays as it is after them.
      warmup_steps: >= 0.
      final_factor: 0 to 1.

    >>> factor = cosine_schedule(total_steps=8, warmup_steps=4, final_factor=0.0)
    >>> [round(float(factor(step)), 3) for step in range(8)]
    [0.25, 0.5, 0.75, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    decay = optax.cosine_decay_schedule(1.0, total_steps - warmup_steps, alpha=final_factor)
    warmup = optax.linear_schedule(0.0, 1.0, max(warmup_steps, 1))
    joined = optax.join_schedules([warmup, decay], [warmup_steps])
    return lambda step: joined(step + 1)
