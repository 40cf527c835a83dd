"""What kernels compute with: numbers, vectors of them and addresses, and operators on these."""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

BYTE, SHORT, INT, FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()
INDEX = ir.IntType(64)
POINTER = ir.PointerType()

Type = Any  # llvmlite brings no types of its own
Number = int | float


class Value:
    """
    A number, a vector of numbers or an address while the kernel runs.

    Operators work on two values of a type, or on one and a Python number, which stands for as many
    equal ones as the value has lanes. An address plus a number is the address that many bytes on.
    """

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder, self.ir = builder, value

    @property
    def type(self) -> Type:
        """The LLVM type."""
        return self.ir.type

    @property
    def lanes(self) -> int:
        """Numbers in it."""
        return self.type.count if isinstance(self.type, ir.VectorType) else 1

    @property
    def _element(self) -> Type:
        return self.type.element if isinstance(self.type, ir.VectorType) else self.type

    @property
    def _is_float(self) -> bool:
        return isinstance(self._element, ir.FloatType)

    def new(self, value: Any) -> "Value":
        """Wrap what the builder made."""
        return Value(self.builder, value)

    def like(self, other: "Value | Number") -> "Value":
        """`other` as a value of this type."""
        if isinstance(other, Value):
            return other
        number = float(other) if self._is_float else int(other)
        constant = [number] * self.lanes if isinstance(self.type, ir.VectorType) else number
        return self.new(ir.Constant(self.type, constant))

    def _with(self, operation: Callable[[Any, Any], Any], other: "Value | Number") -> "Value":
        return self.new(operation(self.ir, self.like(other).ir))

    def __add__(self, other: "Value | Number") -> "Value":
        if isinstance(self.type, ir.PointerType):
            step = other.ir if isinstance(other, Value) else ir.Constant(INDEX, other)
            return self.new(self.builder.gep(self.ir, [step], source_etype=BYTE))
        return self._with(self.builder.fadd if self._is_float else self.builder.add, other)

    def __sub__(self, other: "Value | Number") -> "Value":
        return self._with(self.builder.fsub if self._is_float else self.builder.sub, other)

    def __mul__(self, other: "Value | Number") -> "Value":
        return self._with(self.builder.fmul if self._is_float else self.builder.mul, other)

    def __truediv__(self, other: "Value | Number") -> "Value":
        return self._with(self.builder.fdiv, other)

    def __floordiv__(self, other: "Value | Number") -> "Value":
        return self._with(self.builder.udiv, other)

    def __mod__(self, other: "Value | Number") -> "Value":
        return self._with(self.builder.urem, other)

    def __lshift__(self, other: "Value | Number") -> "Value":
        return self._with(self.builder.shl, other)

    def __rshift__(self, other: "Value | Number") -> "Value":
        return self._with(self.builder.lshr, other)

    def __or__(self, other: "Value | Number") -> "Value":
        return self._with(self.builder.or_, other)

    def __and__(self, other: "Value | Number") -> "Value":
        return self._with(self.builder.and_, other)

    def __lt__(self, other: "Value | Number") -> "Value":
        return self._compare("<", self.like(other))

    def fma(self, factor: "Value | Number", addend: "Value | Number") -> "Value":
        """self * factor + addend, rounded once."""
        return self._of_floats("llvm.fma", self.like(factor), self.like(addend))

    def max(self, other: "Value | Number") -> "Value":
        """The larger of each pair; not for numbers that aren't."""
        return self._choose(">", other)

    def min(self, other: "Value | Number") -> "Value":
        """The smaller of each pair; not for numbers that aren't."""
        return self._choose("<", other)

    def _choose(self, comparison: str, other: "Value | Number") -> "Value":
        second = self.like(other)
        return self._compare(comparison, second).choose(self, second)

    def _compare(self, comparison: str, other: "Value") -> "Value":
        compare = self.builder.fcmp_ordered if self._is_float else self.builder.icmp_signed
        return self.new(compare(comparison, self.ir, other.ir))

    def choose(self, yes: "Value", no: "Value | Number") -> "Value":
        """`yes` where this is true, else `no`."""
        return self.new(self.builder.select(self.ir, yes.ir, yes.like(no).ir))

    def abs(self) -> "Value":
        """Magnitudes."""
        return self._of_floats("llvm.fabs")

    def sqrt(self) -> "Value":
        """Square roots."""
        return self._of_floats("llvm.sqrt")

    def bits_as(self, element: Type) -> "Value":
        """The same bits, read as numbers of another type."""
        width = element.width if isinstance(element, ir.IntType) else 32
        own = self._element.width if isinstance(self._element, ir.IntType) else 32
        count = self.lanes * own // width
        return self.new(self.builder.bitcast(self.ir, vector_type(element, count)))

    def to_float(self) -> "Value":
        """Signed whole numbers as floats."""
        return self.new(self.builder.sitofp(self.ir, self._shaped(FLOAT)))

    def low_bits(self, element: Type) -> "Value":
        """The lowest bits of each whole number, in a narrower type."""
        return self.new(self.builder.trunc(self.ir, self._shaped(element)))

    def widen(self, element: Type) -> "Value":
        """Unsigned whole numbers in a wider type."""
        return self.new(self.builder.zext(self.ir, self._shaped(element)))

    def widen_signed(self, element: Type) -> "Value":
        """Signed whole numbers in a wider type."""
        return self.new(self.builder.sext(self.ir, self._shaped(element)))

    def _shaped(self, element: Type) -> Type:
        return vector_type(element, self.lanes)

    def spread(self, lanes: int) -> "Value":
        """A vector of `lanes` times this number."""
        empty = ir.Constant(ir.VectorType(self.type, lanes), ir.Undefined)
        first = self.builder.insert_element(empty, self.ir, ir.Constant(INT, 0))
        return self.new(first).shuffle([0] * lanes)

    def shuffle(self, lanes: Sequence[int], other: "Value | None" = None) -> "Value":
        """The named lanes; the other value's are counted on behind this one's."""
        second = ir.Constant(self.type, ir.Undefined) if other is None else other.ir
        mask = ir.Constant(ir.VectorType(INT, len(lanes)), list(lanes))
        return self.new(self.builder.shuffle_vector(self.ir, second, mask))

    def lane(self, index: int) -> "Value":
        """One of the numbers."""
        if not isinstance(self.type, ir.VectorType):
            return self
        return self.new(self.builder.extract_element(self.ir, ir.Constant(INT, index)))

    def sum(self) -> "Value":
        """The lanes' sum."""
        return self._fold(lambda a, b: a + b)

    def largest(self) -> "Value":
        """The lanes' largest."""
        return self._fold(lambda a, b: a.max(b))

    def _fold(self, join: "Callable[[Value, Value], Value]") -> "Value":
        value = self
        while value.lanes > 1:
            half = value.lanes // 2
            value = join(value.shuffle(range(half)), value.shuffle(range(half, 2 * half)))
            value = value if value.lanes > 1 else value.lane(0)
        return value

    def intrinsic(self, name: str, *others: "Value", result: Type = None) -> "Value":
        """Call one of LLVM's own functions with this and others; it gives this type or `result`."""
        return self.new(call_outside(self.builder, name, result or self.type, (self, *others)))

    def _of_floats(self, name: str, *others: "Value") -> "Value":
        suffix = "f32" if self.lanes == 1 else f"v{self.lanes}f32"
        return self.intrinsic(f"{name}.{suffix}", *others)


def call_outside(builder: ir.IRBuilder, name: str, result: Type, arguments: Sequence[Value]) -> Any:
    """Call a function from outside of the module, which is declared where it is called first."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, [argument.ir for argument in arguments])


def vector_type(element: Type, lanes: int) -> Type:
    """Of so many numbers; of one the element itself."""
    return element if lanes == 1 else ir.VectorType(element, lanes)
