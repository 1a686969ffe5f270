"""The one error a user is meant to see: what came, what was expected, what to do."""


class UserError(ValueError):
    """Raised for input that only the user can mend: files, configs, flags.

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
