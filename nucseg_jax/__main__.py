"""`python -m nucseg_jax` is the same as `nucseg`."""

from nucseg_jax.cli.main import main

main()
