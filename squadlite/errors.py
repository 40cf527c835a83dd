"""
Every error that squadlite raises on purpose.

    SquadliteError
    ├── FormatError             bytes that are not a .sqz file of a version we read
    │   ├── PreambleError       the first bytes: magic, reserved fields, positions
    │   ├── VersionError        a well-formed file of a version we don't read
    │   ├── TruncatedFileError  the file is shorter or longer than it says
    │   ├── HeaderError         the header: JSON, fields, limits
    │   ├── TensorError         one tensor: shape, position, size, name
    │   ├── CodecError          an unknown codec, bad settings, or codes that don't decode
    │   └── DigestError         bytes that don't match their digest
    ├── ConfigError             a model configuration that no model can have
    ├── CheckpointError         a checkpoint folder that can't be loaded
    ├── MissingModelError       a model of our own that isn't part of this installation
    ├── QuantizationError       a size that a model can't be rounded to
    ├── ComputeError            numbers that a model can't be computed in here
    ├── TokenizerError          a vocabulary that can't tokenize
    ├── DatasetError            a SQuAD or question file that doesn't hold what it should
    ├── BoundError              a place that a book doesn't have
    ├── BenchError              a runtime that can't be measured
    ├── EngineError             workers that can't be reached or used
    ├── LibraryError            a library file that can't be used, or a book that it doesn't have
    ├── ExportError             a model that can't be written for another program
    ├── ServerError             a page that can't be served
    └── BookError               a book that can't be read
        ├── UnsupportedBookError  a kind of file we don't read
        ├── ProtectedBookError    a book locked by DRM
        ├── BrokenBookError       damaged, hostile or empty
        └── BookIndexError        an index file that can't be built or opened

Messages say subject, found, expected. Mistakes of the calling code stay ValueError and TypeError.
"""


class SquadliteError(Exception):
    """Anything a user can be told in one line; the command line turns it into an exit code."""


class FormatError(SquadliteError):
    """Bytes that are not a .sqz file of a version we read (format_spec.md)."""


class PreambleError(FormatError):
    """The fixed first bytes of a .sqz file are wrong."""


class VersionError(FormatError):
    """A .sqz file of a version this reader doesn't know."""


class TruncatedFileError(FormatError):
    """A .sqz file is shorter or longer than its preamble says."""


class HeaderError(FormatError):
    """The header of a .sqz file breaks a rule."""


class TensorError(FormatError):
    """One tensor's description breaks a rule, or a tensor asked for isn't there."""


class CodecError(FormatError):
    """An unknown codec, settings out of range, or values that a codec can't hold."""


class DigestError(FormatError):
    """Bytes don't match the digest stored for them."""


class ConfigError(SquadliteError):
    """A model configuration that no model can have."""


class CheckpointError(SquadliteError):
    """A checkpoint folder that can't be loaded."""


class MissingModelError(SquadliteError):
    """A model of squadlite's own, named, that isn't part of this installation."""


class QuantizationError(SquadliteError):
    """A size that a model can't be rounded to."""


class ComputeError(SquadliteError):
    """Numbers that a model can't be computed in on this machine."""


class TokenizerError(SquadliteError):
    """A vocabulary that can't tokenize."""


class DatasetError(SquadliteError):
    """A SQuAD or question file that doesn't hold what it should."""


class BoundError(SquadliteError):
    """A place in a book, named to bound what is told, that the book doesn't have."""


class BenchError(SquadliteError):
    """A runtime that can't be measured: it doesn't run here, or its process died."""


class EngineError(SquadliteError):
    """Workers that can't be reached or used, or that died over their work."""


class LibraryError(SquadliteError):
    """A library's file that can't be used, or a book that the library doesn't have."""


class ExportError(SquadliteError):
    """A model that can't be written for another program: too large, or something is in the way."""


class ServerError(SquadliteError):
    """A page that can't be served: an address is taken, or a package isn't installed."""


class BookError(SquadliteError):
    """A book that can't be read."""


class UnsupportedBookError(BookError):
    """A kind of file that squadlite doesn't read."""


class ProtectedBookError(BookError):
    """A book locked by DRM."""


class BrokenBookError(BookError):
    """A damaged, hostile or empty book."""


class BookIndexError(BookError):
    """An index that can't be built or opened."""
