"""A model's mean outputs over the eight symmetries of its images: test-time augmentation, which costs no training.

Each view goes through the model by itself, in one compiled program, and its outputs are brought back to the image. On
the host a loop takes the views one after the other: eight copies of the model in one program would take eight times as
long to compile, a loop inside it runs slower on CPU, and a batch of all views takes eight times the memory.
"""

import functools
from collections.abc import Callable
from typing import TypeVar

import jax
from jax.sharding import NamedSharding

from nucseg_jax.core.arrays import Variables
from nucseg_jax.heads.interfaces import Head
from nucseg_jax.ops.mean_outputs import OutputSums, add_sums, mean_of_sums, sums_of_one
from nucseg_jax.ops.outputs import Outputs
from nucseg_jax.ops.symmetries import SYMMETRIES, Symmetry, move

# From variables and images [N, H, W, 3] to outputs of them.
OutputsFunction = Callable[[Variables, jax.Array], Outputs]
OutputsOrSums = TypeVar("OutputsOrSums", Outputs, OutputSums)


def compile_mean_of_views(
    outputs_of: OutputsFunction, head: Head, sharding: NamedSharding
) -> OutputsFunction:
    """Returns a function from variables and images to the mean of their outputs over `ops.symmetries.SYMMETRIES`.

    Images need not be squares: what `outputs_of` takes it must then take transposed too.

    Args:
      outputs_of: of one view; pure, is jitted here.
      head: the model's instance head.
      sharding: of the images, and of all arrays that are made of them.
    """

    @functools.partial(jax.jit, in_shardings=(None, sharding), out_shardings=sharding)
    def forward(variables: Variables, image: jax.Array) -> OutputSums:
        return sums_of_one(outputs_of(variables, image))

    # Flips are arguments, so that two programs do for eight symmetries.
    @functools.partial(jax.jit, static_argnums=3, in_shardings=(sharding, None, None), out_shardings=sharding)
    def view(image: jax.Array, rows: jax.Array, columns: jax.Array, transposed: bool) -> jax.Array:
        return move(image, Symmetry(rows, columns, transposed))

    @functools.partial(jax.jit, static_argnums=4, out_shardings=sharding)
    def add(
        sums: OutputSums | None, of_view: OutputSums, rows: jax.Array, columns: jax.Array, transposed: bool
    ) -> OutputSums:
        of_image = bring_back(of_view, Symmetry(rows, columns, transposed).inverse(), head)
        return of_image if sums is None else add_sums(sums, of_image)

    @functools.partial(jax.jit, out_shardings=sharding)
    def mean(sums: OutputSums) -> Outputs:
        return mean_of_sums(sums, len(SYMMETRIES))

    def mean_of_views(variables: Variables, image: jax.Array) -> Outputs:
        sums = None
        for symmetry in SYMMETRIES:
            sums = add(sums, forward(variables, view(image, *symmetry)), *symmetry)
        outputs: Outputs = mean(sums)
        return outputs

    return mean_of_views


def bring_back(outputs: OutputsOrSums, back: Symmetry, head: Head) -> OutputsOrSums:
    """Moves outputs of a moved image, or their sums, to those of the image.

    Args:
      outputs: [N, H, W, ...] each.
      back: the inverse of what moved the image; `transposed` is a Python boolean.
      head: the model's instance head.

    Raises:
      ValueError: the maps are not those of the head.
    """
    if outputs.maps is not None and outputs.maps.shape[-1] != len(head.maps):
        raise ValueError(
            f"the model has {outputs.maps.shape[-1]} maps, and its head {head.title} has {len(head.maps)}"
        )
    moved: OutputsOrSums = jax.tree.map(functools.partial(move, symmetry=back), outputs)
    return moved if moved.maps is None else moved._replace(maps=head.transform_maps(moved.maps, back))
