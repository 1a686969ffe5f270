"""The command line of nucseg_jax: `nucseg VERB --config=NAME [flags]`, or `python launch.py VERB ...` in a checkout.

Verbs import what they need when they run, so that help and errors in flags appear immediately.
"""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from nucseg_jax import __version__
from nucseg_jax.cli.given_config import split_overrides
from nucseg_jax.cli.start import Start
from nucseg_jax.cli.verbs import (
    config,
    convert,
    describe,
    evaluate,
    export,
    formats,
    measure,
    models,
    predict,
    prepare,
    profile,
    report,
    robustness,
    share,
    train,
)
from nucseg_jax.core.errors import STATUS_TO_REQUEUE, Preempted, UserError
from nucseg_jax.core.nearest import did_you_mean
from nucseg_jax.core.program import PROGRAM

VERBS = {
    "prepare": prepare.command,
    "train": train.command,
    "evaluate": evaluate.command,
    "robustness": robustness.command,
    "predict": predict.command,
    "formats": formats.command,
    "measure": measure.command,
    "models": models.command,
    "report": report.command,
    "describe": describe.command,
    "convert": convert.command,
    "export": export.command,
    "share": share.command,
    "profile": profile.command,
    "config": config.command,
}
COMPLETION = "_NUCSEG_COMPLETE"


class Verbs(click.Group):
    """The verbs in the order of a project's work."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of the verbs."""
        del ctx
        return list(VERBS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the first sentence of each verb's help, unabridged."""
        del ctx
        with formatter.section("Verbs"):
            formatter.write_dl(
                [(name, (command.help or "").split("\n\n")[0]) for name, command in VERBS.items()]
            )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the verb that is named first.

        Raises:
          UserError: there is no such verb; it names the nearest.
        """
        if args[0] not in VERBS:
            raise UserError(
                f"there is no verb {args[0]!r}{did_you_mean(args[0], VERBS)}",
                expected="one of " + ", ".join(VERBS),
                advice=f"{PROGRAM} --help describes them",
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs,
    commands=VERBS,
    context_settings={"help_option_names": ["-h", "--help"]},
    options_metavar="",
    subcommand_metavar="VERB [FLAGS]",
    no_args_is_help=False,
    epilog=f"\b\nFirst steps:\n  {PROGRAM} prepare --config=quickstart\n"
    f"  {PROGRAM} train --config=quickstart --workdir=runs/quickstart\n\n"
    f"`{PROGRAM} VERB --help` shows the flags of a verb.",
)
@click.version_option(__version__, prog_name="nucseg_jax")
@click.option("--debug", is_flag=True, help="Show what Orbax, TFDS and asyncio log too.")
def nucseg(debug: bool) -> None:
    """Segment cell nuclei in H&E histology: data, training, evaluation, prediction."""
    if os.environ.get(COMPLETION) is None and not _asks_for_help():
        _set_up_logging(debug)


def _asks_for_help() -> bool:
    return any(word in ("-h", "--help") for word in sys.argv[1:])


def _set_up_logging(debug: bool) -> None:
    import logging as python_logging

    from absl import flags, logging

    # Libraries read absl's own flags; none of them is on this command line.
    flags.FLAGS.mark_as_parsed()
    logging.use_absl_handler()
    if not debug:
        # absl starts at INFO, where Orbax writes a page a checkpoint, and it warns of every read-only opening.
        logging.set_verbosity(logging.ERROR)
        # Of a hundred writes that fail together the first is reported; asyncio would print the others too.
        python_logging.getLogger("asyncio").setLevel("CRITICAL")


def main() -> None:
    """Runs the command line of this process; the entry of `nucseg`, of launch.py and of `python -m nucseg_jax`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs a command line; a fault of the user's ends in one message on standard error.

    Args:
      arguments: without the program's name.

    Returns:
      The exit status: 0, 1 where a verb failed in part, 2 for a fault of the user's, 75 for a preempted run that
      resumes, 130 for Ctrl-C.
    """
    _print_any_name()
    completes = COMPLETION in os.environ
    if not arguments and not completes:
        nucseg.main(["--help"], prog_name=PROGRAM, standalone_mode=False)
        return 2
    overrides, others = split_overrides(arguments)
    start = Start(overrides, arguments)
    try:
        # Completion is the console script's: a shell completes no `python launch.py`.
        name = "nucseg" if completes else PROGRAM
        nucseg.main(others, prog_name=name, complete_var=COMPLETION, obj=start, standalone_mode=False)
        return 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except SystemExit as end:
        return _status(end)
    except click.UsageError as error:
        return _refused(_usage_error(error, others), start)
    except UserError as error:
        return _refused(error, start)
    except Preempted as position:
        print(
            f"\npreempted (SIGTERM): saved at {position}; rerun the same command to resume", file=sys.stderr
        )
        return STATUS_TO_REQUEUE
    except (KeyboardInterrupt, click.Abort):
        print(
            "\ninterrupted; rerun the same command to resume from the last checkpoint, if there is one",
            file=sys.stderr,
        )
        return _left(130, start)
    except Exception:
        if not start.is_one_of_several:
            raise
        traceback.print_exc()
        print(
            "error: one of several processes failed; if it was not this one, see the output of the others.\n"
            "What to do: restart all of them; they resume from the last checkpoint.",
            file=sys.stderr,
        )
        return _left(1, start)


def _refused(error: Exception, start: Start) -> int:
    print(f"error: {error}", file=sys.stderr)
    return _left(2, start)


def _left(status: int, start: Start) -> int:
    """Returns the status; one of several processes exits immediately, without a barrier that others miss."""
    if start.is_one_of_several:
        _end_now(status)
    return status


def _end_now(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _status(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


def _usage_error(error: click.UsageError, arguments: Sequence[str]) -> UserError:
    """Explains the fault of a command line: an unknown flag, one of another verb, a value of another kind."""
    verb = next((word for word in arguments if word in VERBS), "")
    advice = f"{PROGRAM} {verb} --help shows the flags" if verb else f"{PROGRAM} --help shows the verbs"
    if not isinstance(error, click.NoSuchOption):
        return UserError(error.format_message().rstrip("."), advice=advice)
    name = error.option_name
    owners = [other for other, command in VERBS.items() if name in _flags(command)]
    if verb in owners:
        return UserError(
            f"{name} precedes the verb", expected="the verb first", advice=f"{PROGRAM} {verb} {name}=..."
        )
    if owners:
        return UserError(
            f"{name} goes with {' and '.join(owners)}; the verb is {verb or 'missing'}",
            advice=f"leave out {name}; fields of the config are --config.SECTION.FIELD=VALUE",
        )
    known = _flags(VERBS[verb]) if verb else []
    return UserError(f"there is no flag {name}{did_you_mean(name, known)}", advice=advice)


def _flags(command: click.Command) -> list[str]:
    return [flag for parameter in command.params for flag in parameter.opts if flag.startswith("--")]


def _print_any_name() -> None:
    """Prints characters that the encoding of standard output lacks as escapes; a name of a file may hold any."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
