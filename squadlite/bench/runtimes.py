"""The table of runtimes: squadlite's own, then the peers."""

from collections.abc import Mapping
from types import MappingProxyType

from squadlite.bench import own
from squadlite.bench.kind import RuntimeKind

# A peer's module offers `KINDS`, as `own` does; it stands here once.
_MODULES = (own,)

RUNTIMES: Mapping[str, RuntimeKind] = MappingProxyType(
    {kind.name: kind for module in _MODULES for kind in module.KINDS}
)
