"""Where the time between a process's start and its first finished step went, in one line."""

from collections.abc import Mapping

from nucseg_jax.core.compilation_cache import Origin

# Phases of a run's stopwatch, in order, and what they are called.
_PHASES = {
    "imports": "imports",
    "data": "data",
    "start": "weights",
    "program": "train step {origin}",
    "first_step": "first step",
}
_ORIGINS: dict[Origin, str] = {
    "cache": "traced and loaded",
    "compiler": "compiled",
}


def start_up_line(total: float, seconds: Mapping[str, float], origin: Origin) -> str:
    """Returns the line, such as 'start-up  6.2 s: imports 1.8, data 0.3, ..., first step 0.9, other 0.2'.

    Args:
      total: age of the process.
      seconds: by phase.
      origin: of the train step's program.
    """
    parts = [
        f"{title.format(origin=_ORIGINS[origin])} {seconds[phase]:.1f}"
        for phase, title in _PHASES.items()
        if phase in seconds
    ]
    other = total - sum(seconds.get(phase, 0.0) for phase in _PHASES)
    return f"start-up  {total:.1f} s: {', '.join(parts)}, other {other:.1f}"
