"""What the doors lead to."""

from dataclasses import dataclass

from imperal_host.catalog.catalog import Catalog
from imperal_host.gateway.planning import Planner
from imperal_host.gateway.store import Bindings, Layers
from imperal_host.gateway.trial import Trials
from imperal_host.kernel.dispatch import Kernel
from imperal_host.ledger.ledger import Ledger
from imperal_host.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Rooms:
    tokens: Tokens
    catalog: Catalog
    kernel: Kernel
    planner: Planner
    trials: Trials
    bindings: Bindings
    layers: Layers
    ledger: Ledger
    body_bytes_max: int
