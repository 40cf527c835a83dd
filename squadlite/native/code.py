"""A small language for kernels: Python that writes LLVM's intermediate code."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from llvmlite import ir

from squadlite.native.cpu import LINE, Cpu
from squadlite.native.frame import SLOTS

BYTE, SHORT, INT, FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()
INDEX = ir.IntType(64)
POINTER = ir.PointerType()

_SECOND_LEVEL = 2  # as LLVM counts them

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
        return self.new(self.builder.bitcast(self.ir, _vector(element, count)))

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
        return _vector(element, self.lanes)

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
        return self.new(_call(self.builder, name, result or self.type, (self, *others)))

    def _of_floats(self, name: str, *others: "Value") -> "Value":
        suffix = "f32" if self.lanes == 1 else f"v{self.lanes}f32"
        return self.intrinsic(f"{name}.{suffix}", *others)


Meanwhile = Callable[[Value], None]


def nothing(count: Value) -> None:
    """What to do meanwhile, where there is nothing to do."""


class Variable:
    """What changes from one turn of a loop to the next; kept in a register."""

    def __init__(self, code: "Code", first: Value) -> None:
        self._code = code
        with code.at_the_beginning():
            self._place = code.builder.alloca(first.type)
        self._type = first.type
        self.set(first)

    def get(self) -> Value:
        """The value that it has now."""
        return self._code.wrap(self._code.builder.load(self._place, typ=self._type))

    def set(self, value: Value) -> None:
        """Give it another."""
        self._code.builder.store(value.ir, self._place)


class Code:
    """
    One function in the making.

    Args:
        module: that it belongs to.
        name: of the function.
        parameters: name -> type, in order; the function returns nothing.
        cpu: that it is to run on.
    """

    def __init__(
        self, module: ir.Module, name: str, parameters: Mapping[str, Type], cpu: Cpu
    ) -> None:
        self.module, self.cpu, self.lanes = module, cpu, cpu.lanes
        self.function = ir.Function(
            module, ir.FunctionType(ir.VoidType(), parameters.values()), name
        )
        self._slots: dict[str, Value] = {}
        self._entry = self.function.append_basic_block("entry")
        body = self.function.append_basic_block("body")
        self.builder = ir.IRBuilder(body)
        self.parameters = {
            name: self.wrap(argument)
            for name, argument in zip(parameters, self.function.args, strict=True)
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.builder.ret_void()
        with self.at_the_beginning():
            self.builder.branch(self.function.blocks[1])

    def __getitem__(self, name: str) -> Value:
        return self.parameters[name]

    def slot(self, name: str) -> Value:
        """What a slot of the frame holds: a number if its name says so, else an address."""
        if name not in self._slots:
            with self.at_the_beginning():
                place = self["frame"] + 8 * SLOTS.index(name)
                kind = INDEX if name.startswith("n_") else POINTER
                self._slots[name] = self.load(place, kind)
        return self._slots[name]

    def wrap(self, value: Any) -> Value:
        """Make a value of what the builder made."""
        return Value(self.builder, value)

    def index(self, number: int) -> Value:
        """A constant to count with."""
        return self.wrap(ir.Constant(INDEX, number))

    def floats(self, number: float) -> Value:
        """A vector of equal floats."""
        kind = ir.VectorType(FLOAT, self.lanes)
        return self.wrap(ir.Constant(kind, [float(number)] * self.lanes))

    def ints(self, number: int) -> Value:
        """A vector of equal whole numbers."""
        return self.wrap(ir.Constant(ir.VectorType(INT, self.lanes), [number] * self.lanes))

    def load(self, address: Value, element: Type, lanes: int = 1) -> Value:
        """Read one number, or a vector of them, wherever it is aligned."""
        kind = _vector(element, lanes)
        align = 1 if lanes > 1 else _size(element)
        return self.wrap(self.builder.load(address.ir, typ=kind, align=align))

    def load_floats(self, address: Value) -> Value:
        """Read a vector of floats."""
        return self.load(address, FLOAT, self.lanes)

    def store(self, address: Value, value: Value) -> None:
        """Write a number or a vector, wherever it is aligned."""
        align = 1 if value.lanes > 1 else _size(value.type)
        self.builder.store(value.ir, address.ir, align=align)

    def fetch(self, address: Value) -> None:
        """Ask for a line of memory, which need not exist, to be in the second cache by and by."""
        settings = (0, _SECOND_LEVEL, 1)  # to be read; data, not code
        self.do("llvm.prefetch.p0", address, *(self.wrap(ir.Constant(INT, n)) for n in settings))

    def variable(self, first: Value) -> Variable:
        """Make a variable."""
        return Variable(self, first)

    def call(self, code: "Code", *arguments: Value) -> None:
        """Call another function of the module."""
        self.builder.call(code.function, [argument.ir for argument in arguments])

    def do(self, name: str, *arguments: Value) -> None:
        """Call one of LLVM's own functions that returns nothing."""
        _call(self.builder, name, ir.VoidType(), arguments)

    def constant(self, name: str, content: bytes) -> Value:
        """The address of bytes that the module holds."""
        place = self.module.globals.get(name)
        if place is None:
            kind = ir.ArrayType(BYTE, len(content))
            place = ir.GlobalVariable(self.module, kind, name)
            place.linkage, place.global_constant = "internal", True
            place.initializer = ir.Constant(kind, bytearray(content))
        return self._address(place)

    def memory(self, n_bytes: int) -> Value:
        """The address of memory that each call of the function has for itself."""
        with self.at_the_beginning():
            place = self.builder.alloca(ir.ArrayType(BYTE, n_bytes))
            place.align = LINE
            return self._address(place)

    def _address(self, place: Any) -> Value:
        # llvmlite remembers what a place was made for, and would refuse to store anything else.
        place.type = POINTER
        return self.wrap(place)

    def give_way(self) -> None:
        """Let another thread run."""
        name = "SwitchToThread" if "windows" in self.cpu.triple else "sched_yield"
        _call(self.builder, name, INT, ())

    def add_atomically(self, address: Value, number: int) -> Value:
        """Add to a number that other threads look at; returns what it was."""
        added = ir.Constant(INDEX, number)
        return self.wrap(self.builder.atomic_rmw("add", address.ir, added, "acq_rel"))

    def load_atomically(self, address: Value) -> Value:
        """Read a number that other threads add to, and all that they wrote before."""
        return self.wrap(self.builder.load_atomic(address.ir, "acquire", 8, typ=INDEX))

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Do something if a condition is true."""
        with self.builder.if_then(condition.ir):
            yield

    @contextmanager
    def loop_while(self, test: Callable[[], Value]) -> Iterator[None]:
        """Repeat while the test, which is made anew each time, is true."""
        again = self.function.append_basic_block("test")
        body = self.function.append_basic_block("loop")
        after = self.function.append_basic_block("after")
        self.builder.branch(again)
        self.builder.position_at_end(again)
        self.builder.cbranch(test().ir, body, after)
        self.builder.position_at_end(body)
        yield
        self.builder.branch(again)
        self.builder.position_at_end(after)

    @contextmanager
    def loop(self, start: Value | int, stop: Value | int, step: int = 1) -> Iterator[Value]:
        """Count from `start` by `step` while below `stop`."""
        begin = start if isinstance(start, Value) else self.index(start)
        end = stop if isinstance(stop, Value) else self.index(stop)
        counter = self.variable(begin)
        with self.loop_while(lambda: counter.get() < end):
            count = counter.get()
            yield count
            counter.set(count + step)

    @contextmanager
    def at_the_beginning(self) -> Iterator[None]:
        """Write where each call begins, before any loop."""
        block = self.builder.block
        self.builder.position_at_end(self._entry)
        yield
        self.builder.position_at_end(block)


def _call(builder: ir.IRBuilder, name: str, result: Type, arguments: Sequence[Value]) -> Any:
    """Call a function from outside of the module, which is declared where it is called first."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, [argument.ir for argument in arguments])


def _vector(element: Type, lanes: int) -> Type:
    return element if lanes == 1 else ir.VectorType(element, lanes)


def _size(element: Type) -> int:
    return element.width // 8 if isinstance(element, ir.IntType) else 8 if element == POINTER else 4
