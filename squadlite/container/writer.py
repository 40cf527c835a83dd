"""
Writing a .sqz file: a tensor at a time, the same bytes for the same input, all or nothing.

The header follows the data, so that tensors can be written as they come and a codec may decide how
many bytes it takes while it encodes.

Source: format_spec.md, "Writing".
"""

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from squadlite.atomic import atomic_write
from squadlite.container.codecs import Codec
from squadlite.container.header import (
    FIRST_VERSION,
    Header,
    TensorInfo,
    check_expansion,
    check_name,
    check_shape,
)
from squadlite.container.layout import ALIGNMENT, PREAMBLE_BYTES, Preamble
from squadlite.container.reader import SqzFile
from squadlite.errors import CodecError, TensorError

_CHUNK_BYTES = 2**20


def write_sqz(
    path: str | Path,
    *,
    model: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
    metadata: Mapping[str, Any],
    tensors: Iterable[tuple[str, np.ndarray, Codec]],
    needed: tuple[int, int] = FIRST_VERSION,
    progress: Callable[[TensorInfo], None] | None = None,
) -> list[TensorInfo]:
    """
    Write a .sqz file; the old file stands until the new one is whole.

    Its version is the lowest that has all that is used.

    Args:
        path: the file to write or replace; its folder must exist.
        model: the model configuration (format_spec.md, "model").
        tokenizer: the tokenizer's settings (format_spec.md, "tokenizer").
        metadata: anything that JSON can hold.
        tensors: name, values and codec of each, in file order; consumed one by one.
        needed: the lowest version of the format that has all that model and tokenizer say.
        progress: called after each tensor is written.

    Returns:
        The tensors as written.

    Raises:
        HeaderError: model, tokenizer or metadata can't stand in a header.
        TensorError: a name or shape that a tensor may not have, or two of one name.
        CodecError: values that a codec can't hold, such as NaN; the message names the tensor.
        OSError: the file can't be written.
    """
    # Serialized first, so that metadata which can't be written doesn't wait for the tensors.
    Header(dict(model), dict(tokenizer), dict(metadata), (), needed).to_bytes()
    with atomic_write(Path(path)) as file:
        file.write(bytes(PREAMBLE_BYTES))
        infos: list[TensorInfo] = []
        names: set[str] = set()
        for name, values, codec in tensors:
            if check_name(name) in names:
                raise TensorError(f"tensor {name!r}: there are two of that name")
            names.add(name)
            infos.append(_write_tensor(file, name, values, codec))
            if progress is not None:
                progress(infos[-1])
        check_expansion(infos)
        _finish(file, Header(dict(model), dict(tokenizer), dict(metadata), tuple(infos), needed))
    return infos


def copy_sqz(source: SqzFile, path: str | Path, *, metadata: Mapping[str, Any]) -> None:
    """
    Write a .sqz file again with other metadata; the tensors stay as they are, byte for byte.

    Args:
        source: the open file.
        path: the file to write or replace, also the source's own; its folder must exist.
        metadata: anything that JSON can hold, in place of the source's.

    Raises:
        HeaderError: metadata that can't stand in a header.
        DigestError: a tensor of the source was changed.
        OSError: the file can't be written.
    """
    infos = tuple(source.tensors.values())
    # Members that a later minor version adds are not known here, and not written again.
    needed = source.version[0], 0
    header = Header(source.model, source.tokenizer, dict(metadata), infos, needed)
    header.to_bytes()
    with atomic_write(Path(path)) as file:
        file.write(bytes(PREAMBLE_BYTES))
        for info in infos:
            _pad(file)
            file.write(source.read_stored(info.name))
        _finish(file, header)


def _finish(file: BinaryIO, header: Header) -> None:
    """Write what follows the tensors, and the preamble."""
    _pad(file)
    data = header.to_bytes()
    preamble = Preamble.for_header(data, file.tell(), header.version)
    file.write(data)
    file.seek(0)
    file.write(preamble.to_bytes())
    file.write(_digest_from_start(file))


def _write_tensor(file: BinaryIO, name: str, values: np.ndarray, codec: Codec) -> TensorInfo:
    shape = check_shape(name, values.shape)
    try:
        codec, data = codec.stored(values)
    except CodecError as error:
        raise CodecError(f"tensor {name!r}: {error}") from error
    _pad(file)
    offset = file.tell()
    file.write(data)
    return TensorInfo(
        name, shape, codec.decoded_dtype, codec, offset, len(data), sha256(data).hexdigest()
    )


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % ALIGNMENT))


def _digest_from_start(file: BinaryIO) -> bytes:
    """SHA-256 of all that was written; leaves the position at the end."""
    file.seek(0)
    digest = sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.digest()
