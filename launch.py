"""The command line of a checkout: `python launch.py VERB ...` is `nucseg VERB ...`."""

from nucseg_jax.cli.main import main

if __name__ == "__main__":
    main()
