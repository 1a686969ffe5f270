import dataclasses

from nucseg_jax.data.dataset_info import DatasetInfo, NucleusClass
from nucseg_jax.reporting.reading.read_run import read_run
from nucseg_jax.reporting.reading.same_data import data_set_keys

TOY = DatasetInfo("toy", (NucleusClass("a", (1, 2, 3)), NucleusClass("b", (4, 5, 6))), ("x", "y"))


def test_runs_share_a_table_if_names_scale_and_patches_agree(run_folders):
    nuclei, classes = (read_run(run_folders / name) for name in ("scratch_0", "classes_0"))

    def keys(*infos: DatasetInfo, run=nuclei) -> list[str]:
        return data_set_keys([dataclasses.replace(run, info=info) for info in infos])

    def differ(run=nuclei, **changes) -> bool:
        one, other = keys(TOY, dataclasses.replace(TOY, **changes), run=run)
        return one != other

    assert not differ(licence="CC0", citation="someone", divisions=("train",))
    for change in (
        {"name": "toys"},
        {"groups": ("y", "x")},
        {"group_noun": "slide"},
        {"patch_px": 128},
        {"microns_per_px": 0.5},
        {"has_void": True},
    ):
        assert differ(**change), change
    renamed = {"classes": TOY.classes[::-1]}
    assert not differ(**renamed)
    assert differ(run=classes, **renamed)
    # A run without classes stands beside those with the classes of its own data set.
    other = dataclasses.replace(TOY, **renamed)
    runs = [dataclasses.replace(classes, info=TOY), dataclasses.replace(classes, info=other)]
    with_classes, with_others, without = data_set_keys([*runs, dataclasses.replace(nuclei, info=other)])
    assert with_classes != with_others == without
    of_other_patches = dataclasses.replace(nuclei, data_digest="e" * 64)
    assert len(set(data_set_keys([nuclei, of_other_patches]))) == 2
