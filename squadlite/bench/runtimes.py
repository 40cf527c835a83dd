"""The table of runtimes: squadlite's own, then the peers."""

from collections.abc import Mapping
from types import MappingProxyType

from squadlite.bench import own
from squadlite.bench.kind import RuntimeKind
from squadlite.bench.peers import ctranslate, hugging, onnx_runtime, open_vino

# A peer's module offers `KINDS`, as `own` does; it stands here once.
_MODULES = (own, hugging, onnx_runtime, open_vino, ctranslate)

RUNTIMES: Mapping[str, RuntimeKind] = MappingProxyType(
    {kind.name: kind for module in _MODULES for kind in module.KINDS}
)
