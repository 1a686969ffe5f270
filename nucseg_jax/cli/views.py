"""The flag --views, and its words in what a verb prints."""

from typing import Any

import click


def views_option(function: Any) -> Any:
    """Adds the option --views; the verb is given an int."""
    return click.option(
        "--views",
        type=click.Choice(["1", "8"]),
        default="1",
        show_default=True,
        callback=lambda context, parameter, value: int(value),
        help="8: average the model's outputs over all flips and quarter turns of an image; takes eight times as long.",
    )(function)


def views_text(views: int) -> str:
    """Returns the number of views, to end a printed line with; nothing for one view.

    >>> views_text(1), views_text(8)
    ('', ', mean of 8 views')
    """
    return f", mean of {views} views" if views > 1 else ""
