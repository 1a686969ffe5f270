"""What is counted of programs that are lowered or compiled for a GPU, beside arithmetic by hand."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from benchmarks.accelerator.kernels import by_kind, kernels_of
from benchmarks.accelerator.stablehlo_counts import counts, products_of
from nucseg_jax.ops.conv import convolve
from nucseg_jax.ops.conv_reference import convolve_reference, convolve_transpose_reference
from nucseg_jax.ops.lowering import traced_for
from nucseg_jax.ops.transposed_gradient import convolve_transpose_by_convolution
from nucseg_jax.runtime.device_facts import device_facts

N, H, W, C, D = 2, 16, 12, 3, 5
FORWARD = 2 * N * H * W * 9 * C * D


def lowered(function, *shapes, dtype=jnp.float32):
    arguments = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    return jax.jit(function).trace(*arguments).lower(lowering_platforms=("cuda",)).as_text()


def with_gradients(function):
    return jax.grad(lambda image, kernel: jnp.sum(function(image, kernel) ** 2), argnums=(0, 1))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_and_its_gradients_have_the_same_arithmetic(stride):
    def strided(image, kernel):
        return convolve_reference(image, kernel, stride=stride, padding="SAME")

    text = lowered(with_gradients(strided), (N, H, W, C), (3, 3, C, D), dtype=jnp.bfloat16)
    found = {each.kind: each for each in products_of(text)}
    assert set(found) == {"forward", "input gradient", "kernel gradient"}
    for each in found.values():
        assert each.flops == pytest.approx(FORWARD / stride**2)
        values = N * H * W * C + N * H * W * D / stride**2 + 9 * C * D
        assert (each.dtype, each.bytes, each.groups) == ("bf16", 2 * values, 1)
    totals = counts(text)
    assert (totals["convolutions"], totals["products"], totals["foreign"]) == (3, 0, 0)
    assert totals["convolutions in float32"] == 0
    assert totals["flops"] == pytest.approx(3 * FORWARD / stride**2)


def test_a_kernel_gradient_with_a_window_of_an_image_is_foreign_and_ours_is_not():
    shapes = (N, H, W, D), (3, 3, C, D)
    jax_own = with_gradients(lambda image, kernel: convolve_transpose_reference(image, kernel, stride=2))
    ours = with_gradients(lambda image, kernel: convolve_transpose_by_convolution(image, kernel, 2))
    assert counts(lowered(jax_own, *shapes))["foreign"] == 1
    found = counts(lowered(ours, *shapes))
    assert (found["convolutions"], found["foreign"]) == (3, 0)
    assert found["flops"] == pytest.approx(3 * FORWARD)


def test_of_atrous_convolutions_too():
    """cuDNN's backward filter takes no dilated kernel."""
    shapes = (N, 16, 16, C), (3, 3, C, D)
    jax_own = with_gradients(
        lambda image, kernel: convolve_reference(image, kernel, padding="SAME", dilation=6)
    )
    assert counts(lowered(jax_own, *shapes))["foreign"] == 1
    with traced_for("cuda"):
        ours = with_gradients(lambda image, kernel: convolve(image, kernel, padding="SAME", dilation=6))
        found = counts(lowered(ours, *shapes))
    assert (found["foreign"], found["convolutions"]) == (0, 0)
    # Of nine taps the outer ones meet 10 of 16 rows or columns.
    assert found["flops"] == pytest.approx(3 * 2 * N * (16 + 2 * 10) ** 2 * C * D)


def test_products_gathers_and_transposes_are_counted_with_their_sizes():
    def moves(image, kernel, index):
        product = lax.dot_general(
            image, kernel, (((3,), (0,)), ((), ())), precision=(lax.Precision.HIGHEST,) * 2
        )
        return jnp.swapaxes(product, 1, 2), kernel[index]

    text = (
        jax.jit(moves)
        .trace(
            jax.ShapeDtypeStruct((4, 512, 512, 2), jnp.float32),
            jax.ShapeDtypeStruct((2, 1), jnp.float32),
            jax.ShapeDtypeStruct((2**20,), jnp.int32),
        )
        .lower(lowering_platforms=("cuda",))
        .as_text()
    )
    found = counts(text)
    assert (found["products"], found["products in float32"], found["exact"]) == (1, 1, 1)
    assert (found["large transposes"], found["large gathers"]) == (1, 1)
    assert found["flops"] == 2 * 4 * 512 * 512 * 2


# As XLA's compiler for GPUs wrote it, shortened: a convolution, its gradients, a product, a copy and a sum.
COMPILED = """HloModule jit_f, is_scheduled=true

%product (p.0: bf16[128,64], p.1: bf16[64,32]) -> bf16[128,32] {
  %p.0 = bf16[128,64]{1,0} parameter(0)
  %p.1 = bf16[64,32]{1,0} parameter(1)
  ROOT %dot.1 = bf16[128,32]{1,0} dot(%p.0, %p.1), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

%moved (p.2: f32[128,64]) -> f32[64,128] {
  %p.2 = f32[128,64]{1,0} parameter(0)
  ROOT %transpose.1 = f32[64,128]{1,0} transpose(%p.2), dimensions={1,0}
}

ENTRY %main (x: bf16[8,64,64,64], k: bf16[32,3,3,64]) -> bf16[64,32] {
  %x = bf16[8,64,64,64] parameter(0), sharding={replicated}
  %k = bf16[32,3,3,64] parameter(1)
  %g = bf16[8,32,32,32] parameter(2)
  %m = bf16[128,64]{1,0} parameter(3)
  %n = bf16[64,32]{1,0} parameter(4)
  %conv.1 = (bf16[8,32,32,32]) custom-call(%x, %k), window=HALVED, TO="__cudnn$convForward", metadata={op_name="conv"}
  %cudnn-conv-bw-filter.1 = (bf16[32,3,3,64]) custom-call(%x, %g), window=HALVED, TO="__cudnn$convBackwardFilter"
  %cudnn-conv-bw-input.1 = (bf16[8,64,64,64]) custom-call(%g, %k), window=HALVED, TO="__cudnn$convBackwardInput"
  %cudnn-conv.2 = (bf16[32,3,3,64]) custom-call(%x, %g), window={size=63x63}, TO="__cudnn$convForward"
  %gemm_fusion.1 = bf16[128,32]{1,0} fusion(%m, %n), kind=kCustom, calls=%product
  %wrapped = f32[64,128]{1,0} fusion(%m), kind=kInput, calls=%moved
  ROOT %copy.1 = bf16[64,32]{0,1} copy(%n)
}
""".replace("HALVED", "{size=3x3 stride=2x2}").replace(
    "TO=", "dim_labels=b01f_o01i->b01f, custom_call_target="
)


def test_the_kernels_of_a_compiled_program_have_their_arithmetic_and_traffic():
    kernels = {each.name: each for each in kernels_of(COMPILED)}
    image, kernel, out = 8 * 64 * 64 * 64, 9 * 64 * 32, 8 * 32 * 32 * 32
    for name in ("conv.1", "cudnn-conv-bw-filter.1", "cudnn-conv-bw-input.1"):
        each = kernels[name]
        assert each.kind == "convolution"
        assert each.flops == 2 * 8 * 32 * 32 * kernel
        assert each.bytes == 2 * (image + kernel + out)
        assert (each.window_px, each.is_foreign, each.is_narrow) == (3, False, True)
    assert kernels["cudnn-conv.2"].is_foreign
    assert kernels["conv.1"].operation == "conv"
    product = kernels["gemm_fusion.1"]
    assert (product.kind, product.flops) == ("product", 2 * 128 * 64 * 32)
    assert (kernels["wrapped"].kind, kernels["copy.1"].kind) == ("copy", "copy")
    assert kernels["copy.1"].bytes == 2 * 2 * 64 * 32
    facts = device_facts("H100")
    assert product.seconds(facts) == product.bytes / facts.bytes_per_second
    kinds = by_kind(kernels.values(), facts)
    assert {name: row["calls"] for name, row in kinds.items()} == {"convolution": 4, "product": 1, "copy": 2}
    assert sum(row["ms"] for row in kinds.values()) == pytest.approx(
        1e3 * sum(each.seconds(facts) for each in kernels.values())
    )
