"""docs/config.md is the one that the declarations make, and README leads to it."""

from nucseg_jax.cli.config_reference import COMMAND, config_reference
from nucseg_jax.config import config_fields
from nucseg_jax.core.paths import PROJECT

PAGE = PROJECT / "docs" / "config.md"


def test_the_page_is_that_of_the_declarations():
    assert PAGE.read_text(encoding="utf-8") == config_reference(), f"run {COMMAND}"
    assert COMMAND in config_reference().splitlines()[0]


def test_every_field_has_one_row_with_its_default_values_effect_and_meaning():
    rows = {
        cells[1].strip(" `"): cells
        for cells in (line.split("|") for line in config_reference().splitlines())
        if len(cells) == 7
    }
    for name, item in config_fields().items():
        _, _, default, values, affects, doc, _ = rows[name]
        assert default.strip(" `") == (str(item.default) or "''")
        assert all(str(choice) in values for choice in item.choices)
        assert affects.strip(" `") == item.affects
        assert doc.strip() == item.doc


def test_the_readme_leads_to_it():
    assert "(docs/config.md)" in (PROJECT / "README.md").read_text(encoding="utf-8")
