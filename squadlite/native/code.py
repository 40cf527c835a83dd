"""A function in the making: Python that writes LLVM's intermediate code."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from llvmlite import ir

from squadlite.native.cpu import LINE, Cpu
from squadlite.native.frame import SLOTS
from squadlite.native.operands import (
    BYTE,
    FLOAT,
    INDEX,
    INT,
    POINTER,
    Type,
    Value,
    call_outside,
    vector_type,
)

_SECOND_LEVEL = 2  # of caches, as LLVM counts them

Meanwhile = Callable[[Value], None]  # see `squadlite.native.products.Multiply`


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
        kind = vector_type(element, lanes)
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
        call_outside(self.builder, name, ir.VoidType(), arguments)

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
        call_outside(self.builder, name, INT, ())

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


def _size(element: Type) -> int:
    # In bytes.
    if isinstance(element, ir.IntType):
        return int(element.width // 8)
    return 8 if element == POINTER else 4
