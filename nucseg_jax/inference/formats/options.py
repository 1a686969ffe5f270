"""Choices of a user that formats depend on."""

import math
from typing import NamedTuple

from nucseg_jax.core.errors import UserError


class Options(NamedTuple):
    """Choices.

    Attributes:
      simplify_px: outlines may have fewer corners, and lie at most this far from what they were; 0 = as they are.
    """

    simplify_px: float = 0.0

    def checked(self) -> "Options":
        """Returns these choices.

        Raises:
          UserError: one is out of range.
        """
        if not (math.isfinite(self.simplify_px) and self.simplify_px >= 0):
            raise UserError(f"--simplify_px is {self.simplify_px:g}", expected="0 or more pixels")
        return self
