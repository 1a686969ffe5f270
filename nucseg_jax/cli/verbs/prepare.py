"""The verb `prepare`: its flags and its help."""

from nucseg_jax.cli.start import Start, config_option, pass_start, verb


@verb("prepare --config=quickstart\nprepare --config=folder --config.data.release_dir=FOLDER")
@config_option
@pass_start
def command(start: Start, config: str | None) -> None:
    """Check images and labels, and write the data set that training reads.

    The source is PanNuke, CoNSeP, MoNuSeg or a folder of your own images and labels, by the fields of `data`. A data
    set that exists is reported, and nothing is written.
    """
    experiment = start.config(config).experiment()

    from nucseg_jax.cli.next_command import Invocation
    from nucseg_jax.cli.prepare import prepare

    split = experiment.config.split
    flags = list(start.arguments)
    flags.remove("prepare")
    folds = split.folds if split.protocol == "k_fold" else 0
    prepare(experiment.data, Invocation(flags, experiment.config.model.num_classes, folds))
