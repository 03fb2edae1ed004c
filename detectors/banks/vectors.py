"""Steps over numbers that lie side by side, as vectors: what numba makes of a loop over them takes two times as long.

It cannot know that what is written lies apart from what is read, so it goes one by one; and it counts who refers to a
row of a matrix, which takes longer than the row. These are to the bit what the loops in their docstrings are.

Kernels that use them stand in other files, and numba looks at those alone: see ``detectors.banks.jit``. So such a file
says which text of this one it is compiled with, and a test holds it to that.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_PLACE, _LANE, _NUMBER = ir.IntType(64), ir.IntType(32), ir.DoubleType()


def weighing(many: int, moments: int) -> Any:
    """``weigh(own, likelier, cell, passed, measured, up, down)``: the evidence of so many alternatives after one value.

    For each alternative, ``own`` has so many moments one after the other::

        more = own[0, k] + passed
        for moment in range(moments):
            own[moment, k] = (own[moment, k] + more if moment else more) * likelier[cell, k]
            more = more * measured if moment else more

    Returns the sums of the first, weighted by ``up`` and by ``down``: that of every other one from the first on, and of
    those between them.
    """
    pairs = [ir.VectorType(_LANE, 2)([place, place + 1]) for place in range(0, many, 2)]

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        cell, passed, measured = arguments[2:5]
        own, likelier, up, down = (
            context.make_array(signature.args[place])(context, builder, arguments[place]).data for place in (0, 1, 5, 6)
        )
        held = [_at(builder, own, _PLACE(many * moment), many) for moment in range(moments)]
        factor = builder.load(_at(builder, likelier, builder.mul(cell, _PLACE(many)), many), align=8)
        more = builder.fadd(builder.load(held[0], align=8), _each(builder, passed, many))
        after = [builder.fmul(more, factor)]
        for moment in held[1:]:
            after.append(builder.fmul(builder.fadd(builder.load(moment, align=8), more), factor))
            more = builder.fmul(more, _each(builder, measured, many))
        for moment, numbers in zip(held, after, strict=True):
            builder.store(numbers, moment, align=8)
        return context.make_tuple(
            builder, signature.return_type, [weighted(builder, it, after[0]) for it in (up, down)]
        )

    def weighted(builder: Any, weights: Any, numbers: Any) -> Any:
        parts = builder.fmul(builder.load(_at(builder, weights, _PLACE(0), many), align=8), numbers)
        sums = ir.VectorType(_NUMBER, 2)([0.0, 0.0])
        for pair in pairs:
            sums = builder.fadd(sums, builder.shuffle_vector(parts, parts, pair))
        return builder.fadd(builder.extract_element(sums, _LANE(0)), builder.extract_element(sums, _LANE(1)))

    def weigh(_: Any, own: Any, likelier: Any, cell: Any, passed: Any, measured: Any, up: Any, down: Any) -> Any:
        assert {array.layout for array in (own, likelier, up, down)} == {"C"}
        return types.UniTuple(types.float64, 2)(own, likelier, types.int64, passed, measured, up, down), emit

    return intrinsic(weigh)


def ranking(many: int) -> Any:
    """``rank(cuts, value)``: how many of so many cuts the value exceeds."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        cuts = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        numbers = builder.load(_at(builder, cuts, _PLACE(0), many), align=8)
        above = builder.fcmp_ordered(">", _each(builder, arguments[1], many), numbers)
        return builder.ctpop(builder.zext(builder.bitcast(above, ir.IntType(many)), _PLACE))

    def rank(_: Any, cuts: Any, value: Any) -> Any:
        assert cuts.layout == "C"
        return types.int64(cuts, value), emit

    return intrinsic(rank)


def _at(builder: Any, numbers: Any, place: Any, many: int) -> Any:
    """Where so many of them stand from a place on."""
    return builder.bitcast(builder.gep(numbers, [place]), ir.VectorType(_NUMBER, many).as_pointer())


def _each(builder: Any, number: Any, many: int) -> Any:
    """So many times the same."""
    none = ir.Constant(ir.VectorType(_NUMBER, many), ir.Undefined)
    one = builder.insert_element(none, number, _LANE(0))
    return builder.shuffle_vector(one, none, ir.VectorType(_LANE, many)([0] * many))
