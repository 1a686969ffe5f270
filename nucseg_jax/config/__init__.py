"""Every field of a config, declared once: default, meaning, unit, source, range or choices, and what it affects.

Checks, resume rules, names of runs in reports, hints of commands and the reference page follow from the declarations
(`core.config_field`). A new field is a line of its section; with `was_added=True`, since run folders of earlier
versions lack it. "The paper" is Koishiyeva et al. (2024); its gaps are filled as the texts say.

    data, model, loss, train, augment, evaluation   the sections, a class each
    whole                                           all of them, in order
    reading                                         values of others to a `Config`, or to an error
"""

from nucseg_jax.config.augment import PRESETS
from nucseg_jax.config.reading import read_config, read_config_file
from nucseg_jax.config.whole import Config, config_fields, default_config, differences, may_change_on_resume

__all__ = [
    "PRESETS",
    "Config",
    "config_fields",
    "default_config",
    "differences",
    "may_change_on_resume",
    "read_config",
    "read_config_file",
]
