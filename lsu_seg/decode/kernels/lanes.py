"""Vectors of eight float32 or int32 for numba. They are LLVM vectors, which LLVM splits on targets without them.

A loop that LLVM vectorises by itself processes the end of a run element by element unless the run is a whole number of
vectors, and most runs are not. Here, a loop continues to the end of the last vector, and the excess is not used.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model
from numba.np.arrayobj import populate_array

LANES = 8

_i32 = ir.IntType(32)
_vector = {types.float32: ir.VectorType(ir.FloatType(), LANES), types.int32: ir.VectorType(_i32, LANES)}
_fuse = ("contract",)  # affects neither comparisons nor NaN


class Lanes(types.Type):
    """The numba type of eight values of `dtype`."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(f"Lanes({dtype})")


@register_model(Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, lanes):
        super().__init__(manager, lanes, _vector[lanes.dtype])


_floats, _ints = Lanes(types.float32), Lanes(types.int32)


def _address(context, builder, array_type, array, i):
    """The address of element i of a contiguous array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [i])


def _constant(x):
    return ir.Constant(_vector[types.float32], [x] * LANES)


@intrinsic
def load(typing, array, i):
    """Elements i .. i+7 of a contiguous array, indexed flat."""

    def codegen(context, builder, signature, args):
        place = _address(context, builder, signature.args[0], *args)
        vector = _vector[signature.return_type.dtype]
        return builder.load(builder.bitcast(place, vector.as_pointer()), align=4)

    return Lanes(array.dtype)(array, types.int64), codegen


@intrinsic
def store(typing, array, i, x):
    """Set elements i .. i+7."""

    def codegen(context, builder, signature, args):
        array, i, x = args
        place = _address(context, builder, signature.args[0], array, i)
        builder.store(x, builder.bitcast(place, x.type.as_pointer()), align=4)

    return types.void(array, types.int64, x), codegen


@intrinsic
def weave(typing, array, i, a, b, c, d):
    """Set elements i .. i+31 to a[0], b[0], c[0], d[0], a[1], ... Integers are truncated to the array's type."""

    def codegen(context, builder, signature, args):
        array, i, *four = args
        pick = ir.Constant(ir.VectorType(_i32, 2 * LANES), list(range(2 * LANES)))
        ab, cd = (builder.shuffle_vector(*pair, pick) for pair in (four[:2], four[2:]))
        order = [LANES * (j % 4) + j // 4 for j in range(4 * LANES)]
        x = builder.shuffle_vector(ab, cd, ir.Constant(ir.VectorType(_i32, 4 * LANES), order))
        element = context.get_data_type(signature.args[0].dtype)
        if element != x.type.element:
            x = builder.trunc(x, ir.VectorType(element, 4 * LANES))
        place = _address(context, builder, signature.args[0], array, i)
        builder.store(x, builder.bitcast(place, x.type.as_pointer()), align=1)

    return types.void(array, types.int64, a, a, a, a), codegen


@intrinsic
def splat(typing, x):
    """A vector of eight copies of a float32 or an int32."""

    def codegen(context, builder, signature, args):
        vector = _vector[signature.args[0]]
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), args[0], ir.Constant(_i32, 0))
        return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_i32, LANES), [0] * LANES))

    return Lanes(x)(x), codegen


@intrinsic
def add(typing, a, b):
    return _floats(_floats, _floats), lambda _, builder, __, ab: builder.fadd(*ab, flags=_fuse)


@intrinsic
def subtract(typing, a, b):
    return _floats(_floats, _floats), lambda _, builder, __, ab: builder.fsub(*ab, flags=_fuse)


@intrinsic
def multiply(typing, a, b):
    return _floats(_floats, _floats), lambda _, builder, __, ab: builder.fmul(*ab, flags=_fuse)


@intrinsic
def divide(typing, a, b):
    return _floats(_floats, _floats), lambda _, builder, __, ab: builder.fdiv(*ab)


@intrinsic
def where_greater(typing, a, b, x, y):
    """x where a > b, else y; also y where a or b is NaN."""

    def codegen(context, builder, signature, args):
        a, b, x, y = args
        return builder.select(builder.fcmp_ordered(">", a, b), x, y)

    return x(_floats, _floats, x, x), codegen


def _folded(builder, x, join):
    """Reduce eight values to one by joining halves until one value is left."""
    for n in (4, 2, 1):
        halves = [ir.Constant(ir.VectorType(_i32, n), [*range(at, at + n)]) for at in (0, n)]
        x = join(*(builder.shuffle_vector(x, x, half) for half in halves))
    return builder.extract_element(x, ir.Constant(_i32, 0))


@intrinsic
def least_of(typing, x):
    """The smallest of eight float32."""

    def codegen(context, builder, signature, args):
        return _folded(builder, args[0], lambda a, b: builder.select(builder.fcmp_ordered("<", a, b), a, b))

    return types.float32(_floats), codegen


@intrinsic
def sum_of(typing, x):
    """The sum of eight float32."""
    return types.float32(_floats), lambda _, builder, __, args: _folded(builder, args[0], builder.fadd)


# Coefficients of r to r**5 for 2**r on -1/2 .. 1/2; the error is at most 1.1e-7, and 0 at 0.
_power_of_two = (
    0.6931470036506653,
    0.24022240936756134,
    0.0555073507130146,
    0.009671619161963463,
    0.0013264591107144952,
)


@intrinsic
def exp(typing, x):
    """exp(x) for x <= 0, with a relative error of 3e-7 + 7e-8 |x|; at least exp(-87), which avoids denormals."""

    def codegen(context, builder, signature, args):
        def fused(a, b, c):
            return builder.fadd(builder.fmul(a, b, flags=_fuse), c, flags=_fuse)

        low, scale, magic = _constant(-87.0), _constant(1.44269504088896341), _constant(12582912.0)
        x = builder.select(builder.fcmp_ordered(">", args[0], low), args[0], low)
        shifted = fused(x, scale, magic)  # 1.5 * 2**23 + n, with the integer part in the low bits
        n = builder.fsub(shifted, magic)
        r = builder.fsub(builder.fmul(x, scale, flags=_fuse), n, flags=_fuse)
        y = _constant(_power_of_two[-1])
        for c in (*_power_of_two[-2::-1], 1.0):
            y = fused(y, r, _constant(c))
        whole = _vector[types.int32]
        power = builder.shl(builder.bitcast(shifted, whole), ir.Constant(whole, [23] * LANES))
        return builder.bitcast(builder.add(builder.bitcast(y, whole), power), x.type)

    return _floats(_floats), codegen


@intrinsic
def differences(typing, row, i, d):
    """An int64 whose bit j says whether element i+j of an int16 array differs from d, for j < 32."""

    def codegen(context, builder, signature, args):
        row, i, d = args
        short = ir.IntType(16)
        vector = ir.VectorType(short, 32)
        place = builder.bitcast(_address(context, builder, signature.args[0], row, i), vector.as_pointer())
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), d, ir.Constant(_i32, 0))
        same = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_i32, 32), [0] * 32))
        bits = builder.icmp_signed("!=", builder.load(place, align=2), same)
        return builder.zext(builder.bitcast(bits, _i32), ir.IntType(64))

    return types.int64(row, types.int64, types.int16), codegen


@intrinsic
def lowest_bit(typing, bits):
    """The position of the lowest set bit of an int64 > 0."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), codegen


@intrinsic
def copy(typing, target, i, source, j, count):
    """target[i : i+count] = source[j : j+count], for contiguous arrays of the same type."""

    def codegen(context, builder, signature, args):
        target, i, source, j, count = args
        to = _address(context, builder, signature.args[0], target, i)
        origin = _address(context, builder, signature.args[2], source, j)
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        cgutils.raw_memcpy(builder, to, origin, count, size)

    return types.void(target, types.int64, source, types.int64, types.int64), codegen


def _array_at(element):
    """An intrinsic that returns the array [size] at an address, which the caller must keep alive."""

    def codegen(context, builder, signature, args):
        address, size = args
        array = context.make_array(signature.return_type)(context, builder)
        item = context.get_constant(types.intp, element.bitwidth // 8)
        populate_array(array, builder.inttoptr(address, array.data.type), [size], [item], item, None)
        return array._getvalue()

    def array(typing, address, size):
        return types.Array(element, 1, "C")(types.int64, types.int64), codegen

    return intrinsic(array)


floats, doubles = _array_at(types.float32), _array_at(types.float64)
