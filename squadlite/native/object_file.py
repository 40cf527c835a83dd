"""
An object file -> machine code in memory, without LLVM.

Only what our kernels come as on the most common machines: ELF for x86-64 on Linux, whose large code
model leaves nothing to be filled in but whole addresses. Of all else nothing is taken on trust:
LLVM's own loader has it.

Source: System V ABI, "Object files"; its AMD64 supplement, "Relocation".
"""

import ctypes
import mmap
import platform
import struct
import sys
from collections.abc import Mapping
from itertools import starmap
from typing import NamedTuple

_HEADER = struct.Struct("<4s5B7x2HI3QI6H")
_SECTION = struct.Struct("<2I4Q2I2Q")
_SYMBOL = struct.Struct("<I2BH2Q")
_RELOCATION = struct.Struct("<QIIq")
_ADDRESS = struct.Struct("<Q")

_KIND = (b"\x7fELF", 2, 1, 1)  # of 64 bits, numbers begin with their lowest byte, version 1
_RELOCATABLE, _X86_64 = 1, 62
_PROGRAM, _SYMBOLS, _RELOCATIONS, _UNWINDING = 1, 2, 4, 0x70000001  # types of sections
_WRITABLE, _IN_MEMORY = 1, 2  # flags of sections
_ELSEWHERE = 0  # the section of a symbol that another library has
_WHOLE_ADDRESS = 1  # the relocation to a symbol's address and a number added

_PROT_READ, _PROT_EXEC = 1, 4


class LoadedObject:
    """
    Machine code in memory; it lives as long as this object.

    Args:
        memory: which can be executed and not written to.
        places: of names: where each is in memory.
    """

    def __init__(self, memory: mmap.mmap, places: Mapping[str, int]) -> None:
        self._memory, self._places = memory, places

    def address(self, name: str) -> int:
        """Where a function begins."""
        return self._places[name]


def load_object(image: bytes) -> LoadedObject | None:
    """
    Load an object file.

    Args:
        image: one that we have made: its code is run, whatever it is.

    Returns:
        None where LLVM's loader is needed: another system, processor or kind of file, or something
        to fill in that we don't know.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return None
    try:
        return _load(image)
    except (_OtherError, OSError):
        return None


class _OtherError(Exception):
    """Something else than what we load."""


class _Section(NamedTuple):
    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def is_loaded(self) -> bool:
        # Nothing is ever thrown through our kernels.
        return bool(self.flags & _IN_MEMORY and self.type != _UNWINDING and self.size)


class _Symbol(NamedTuple):
    name: str
    section: int
    value: int


def _load(image: bytes) -> LoadedObject:
    sections = _sections(image)
    offsets, n_bytes = {}, 0
    for number, section in enumerate(sections):
        if section.is_loaded:
            if section.type != _PROGRAM or section.flags & _WRITABLE:
                raise _OtherError
            offsets[number] = n_bytes = -(-n_bytes // section.alignment) * section.alignment
            n_bytes += section.size
    memory = mmap.mmap(-1, n_bytes)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for number, offset in offsets.items():
        section = sections[number]
        memory[offset : offset + section.size] = image[section.offset : section.end]
    places = {number: base + offset for number, offset in offsets.items()}
    symbols: list[_Symbol] = []
    for section in sections:
        if section.type == _SYMBOLS:
            symbols = _symbols(image, section, sections[section.link])
    for section in sections:
        if section.type == _RELOCATIONS and section.info in offsets:
            for at, kind, symbol, added in _RELOCATION.iter_unpack(
                image[section.offset : section.end]
            ):
                if kind != _WHOLE_ADDRESS:
                    raise _OtherError
                address = _place(symbols[symbol], places) + added
                _ADDRESS.pack_into(memory, offsets[section.info] + at, address)
    _make_executable(base, n_bytes)
    here = {symbol.name: symbol for symbol in symbols if symbol.section in places}
    return LoadedObject(memory, {name: _place(symbol, places) for name, symbol in here.items()})


def _sections(image: bytes) -> list[_Section]:
    if len(image) < _HEADER.size:
        raise _OtherError
    (*kind, _, _, file_type, machine, _, _, _, first, _, _, _, _, _, count, _) = _HEADER.unpack(
        image[: _HEADER.size]
    )
    if (*kind, file_type, machine) != (*_KIND, _RELOCATABLE, _X86_64):
        raise _OtherError
    table = image[first : first + count * _SECTION.size]
    return list(starmap(_Section, _SECTION.iter_unpack(table)))


def _symbols(image: bytes, table: _Section, names: _Section) -> list[_Symbol]:
    text = image[names.offset : names.end]
    return [
        _Symbol(text[name : text.index(0, name)].decode(), section, value)
        for name, _, _, section, value, _ in _SYMBOL.iter_unpack(image[table.offset : table.end])
    ]


def _place(symbol: _Symbol, places: Mapping[int, int]) -> int:
    if symbol.section in places:
        return places[symbol.section] + symbol.value
    if symbol.section != _ELSEWHERE:
        raise _OtherError
    try:
        function = ctypes.CDLL(None)[symbol.name]
    except AttributeError:
        raise _OtherError from None
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _make_executable(address: int, n_bytes: int) -> None:
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    if mprotect(ctypes.c_void_p(address), ctypes.c_size_t(n_bytes), _PROT_READ | _PROT_EXEC):
        raise OSError(ctypes.get_errno(), "memory can't be made executable")
