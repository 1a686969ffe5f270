"""Lines about a start: what it waits for, and where its time went once the first step is done."""

from collections.abc import Mapping

from nucseg_jax.core.terminal_lines import labelled
from nucseg_jax.runtime.compilation_cache import Origin

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


def compile_line(earlier_s: float | None, platform: str) -> str:
    """Returns the line that precedes the wait for the training step's program.

    Args:
      earlier_s: seconds that an earlier start of the same run waited for it; None if there was none.
      platform: of the devices, such as 'cpu'.

    >>> compile_line(21.2, "cpu")
    'compiling the training step: about 21 s, or less from the compilation cache'
    """
    if earlier_s is not None:
        # Never "about 0 s".
        about = f"about {max(earlier_s, 1):.0f} s, or less from the compilation cache"
        return f"compiling the training step: {about}"
    where = " on CPU" if platform == "cpu" else ""
    return f"compiling the training step: this takes seconds to minutes{where}"


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
    return labelled("start-up", f"{total:.1f} s: {', '.join(parts)}, other {other:.1f}")
