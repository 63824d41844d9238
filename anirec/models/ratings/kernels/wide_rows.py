"""Sums of long rows of a square matrix for many users, tile by tile, so that a row is read from the cache.

A row of 16,500 weights takes 66 kB, and a user has a hundred of them. All users of a block therefore sum the same
`WIDTH` columns before the next ones are read: these columns of the rows of popular items stay in the L2 cache.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from anirec.models.ratings.kernels.sparse_rows import SparseRows
from anirec.threads import in_threads

WIDTH = 64  # columns; their sums are in registers
Array = NDArray[Any]


def row_adder(*, is_clamped: bool) -> Any:
    """Return a function for kernels that adds weighted rows of a table to a sum; LLVM does not keep it in registers.

    Args:
        is_clamped: Whether only the positive elements of the rows count. They are added without fused operations. Sums
            are then equal to those of torch's `embedding_bag` and `index_add_`.
    """

    @intrinsic
    def add_rows(
        _: Any, sums: Any, place: Any, column: Any, value: Any, begin: Any, end: Any, table: Any, first: Any
    ) -> Any:
        """Add value[e] * table[column[e], first:first + WIDTH] to sums[place:place + WIDTH], for e from begin."""
        signature = types.void(sums, place, column, value, begin, end, table, first)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            int32, int64, vector = ir.IntType(32), ir.IntType(64), ir.VectorType(ir.FloatType(), WIDTH)

            def array(k: int) -> Any:
                return context.make_array(signature.args[k])(context, builder, arguments[k])

            _, place, _, _, begin, end, _, first = arguments
            out = builder.bitcast(builder.gep(array(0).data, [place]), vector.as_pointer())
            n_columns, undefined = builder.extract_value(array(6).shape, 1), ir.Constant(vector, ir.Undefined)
            before, start = builder.load(out, align=4), builder.block
            loop, done = builder.append_basic_block("rows"), builder.append_basic_block("done")
            builder.cbranch(builder.icmp_signed("<", begin, end), loop, done)

            builder.position_at_end(loop)
            e, sum_before = builder.phi(int64), builder.phi(vector)
            row = builder.zext(builder.load(builder.gep(array(2).data, [e])), int64)
            element = builder.gep(array(6).data, [builder.add(builder.mul(row, n_columns), first)])
            weights = builder.load(builder.bitcast(element, vector.as_pointer()), align=4)
            factor = builder.insert_element(
                undefined, builder.load(builder.gep(array(3).data, [e])), ir.Constant(int32, 0)
            )
            factor = builder.shuffle_vector(factor, undefined, ir.Constant(ir.VectorType(int32, WIDTH), [0] * WIDTH))
            if is_clamped:
                zero = ir.Constant(vector, [0.0] * WIDTH)
                weights = builder.select(builder.fcmp_ordered(">", weights, zero), weights, zero)
                sum_after = builder.fadd(sum_before, builder.fmul(factor, weights))
            else:
                kind = ir.FunctionType(vector, [vector] * 3)
                multiply_add = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{WIDTH}f32")
                sum_after = builder.call(multiply_add, [factor, weights, sum_before])
            after = builder.add(e, ir.Constant(int64, 1))
            builder.cbranch(builder.icmp_signed("<", after, end), loop, done)
            for phi, at_first, later in ((e, begin, after), (sum_before, before, sum_after)):
                phi.add_incoming(at_first, start)
                phi.add_incoming(later, loop)

            builder.position_at_end(done)
            result = builder.phi(vector)
            result.add_incoming(before, start)
            result.add_incoming(sum_after, loop)
            builder.store(result, out, align=4)
            return context.get_dummy_value()

        return signature, generate

    return add_rows


add_rows, add_positive_parts = row_adder(is_clamped=False), row_adder(is_clamped=True)


def sum_wide_rows(likes: SparseRows, dislikes: SparseRows, table_ij: Array) -> Array:
    """Return Σ_j x_bj table_j over the likes of each user b plus Σ_j x_bj max(table_j, 0) over the dislikes.

    Args:
        likes: x of B users, with columns j >= 0.
        dislikes: The same.
        table_ij: Float32 (n_items, n_items), n_items >= WIDTH.

    Returns:
        Float32 (B, n_items). The sums are in the order of the entries, whatever the number of threads.
    """
    n_items = table_ij.shape[1]
    out_bi = np.zeros((len(likes.start) - 1, n_items), np.float32)

    def task(tile: int, _: int) -> None:
        first = min(tile * WIDTH, n_items - WIDTH)
        fill_tile(tile * WIDTH - first, first, likes, dislikes, table_ij, out_bi)

    in_threads(task, -(-n_items // WIDTH), chunk=1)
    return out_bi


@numba.njit(cache=True, nogil=True)
def fill_tile(n_done: int, first: int, likes: SparseRows, dislikes: SparseRows, table_ij: Array, out_bi: Array) -> None:
    """Fill the columns from `first`, of which another task fills the first `n_done`."""
    sums = np.zeros(WIDTH, np.float32)
    for b in range(len(out_bi)):
        sums[:] = 0
        add_rows(sums, 0, likes.column, likes.value, likes.start[b], likes.start[b + 1], table_ij, first)
        begin, end = dislikes.start[b], dislikes.start[b + 1]
        add_positive_parts(sums, 0, dislikes.column, dislikes.value, begin, end, table_ij, first)
        for c in range(n_done, WIDTH):
            out_bi[b, first + c] = sums[c]
