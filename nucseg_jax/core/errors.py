"""The error that users see: what is wrong, what was expected, what to do; and statuses that are no errors."""

# EX_TEMPFAIL of sysexits.h: a temporary failure. Schedulers can requeue such a job.
STATUS_TO_REQUEUE = 75


class UserError(ValueError):
    """Raised for input that only the user can correct: files, configs, flags.

    `launch.py` prints its message without a traceback and exits with status 2. Everything else that is
    raised is a fault of this package and keeps its traceback.
    """

    def __init__(self, found: str, *, expected: str = "", advice: str = ""):
        parts = [found]
        if expected:
            parts.append(f"Expected: {expected}.")
        if advice:
            parts.append(f"What to do: {advice}.")
        super().__init__("\n".join(parts))


# The longest part of a library's message in ours, in characters.
_LONGEST_REASON = 300


def reason_of(error: BaseException) -> str:
    r"""Returns the message of another library's error for one of ours: one line, bounded, without a full stop.

    >>> reason_of(OSError("no such disk.\nfor more, see"))
    'no such disk'
    >>> reason_of(KeyError("digest"))
    "'digest' is missing"
    >>> reason_of(EOFError())
    'EOFError'
    """
    told = error.strerror if isinstance(error, OSError) else None
    lines = (told or str(error)).strip().splitlines() or [type(error).__name__]
    said = lines[0].rstrip(". ")[:_LONGEST_REASON]
    return f"{said} is missing" if isinstance(error, KeyError) else said


class Preempted(Exception):  # noqa: N818
    """Preempted (SIGTERM): the state is saved; the same command resumes.

    `launch.py` prints so and exits with `STATUS_TO_REQUEUE`.
    """
