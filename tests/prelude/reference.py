"""The NumPy references of the prelude, by file and name.

Invariant: no reference uses the compiler, and each is written another way than the prelude's text
where there is another way. A definition that is missing here fails the suite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.prelude.references.activations import ACTIVATIONS
from tests.prelude.references.augmentation import AUGMENTATION
from tests.prelude.references.convolutions import CONVOLUTIONS
from tests.prelude.references.initialisers import INITIALISERS
from tests.prelude.references.layers import LAYERS
from tests.prelude.references.losses import LOSSES
from tests.prelude.references.normalisation import NORMALISATION
from tests.prelude.references.optimizers import OPTIMIZERS
from tests.prelude.references.penalties import PENALTIES
from tests.prelude.references.pools import POOLS
from tests.prelude.references.recurrent import RECURRENT
from tests.prelude.references.schedules import SCHEDULES

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "activations": ACTIVATIONS,
    "losses": LOSSES,
    "penalties": PENALTIES,
    "initialisers": INITIALISERS,
    "optimizers": OPTIMIZERS,
    "layers": LAYERS,
    "convolutions": CONVOLUTIONS,
    "normalisation": NORMALISATION,
    "pools": POOLS,
    "augmentation": AUGMENTATION,
    "recurrent": RECURRENT,
    "schedules": SCHEDULES,
}
