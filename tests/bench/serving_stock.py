"""The other yardstick: a scikit-learn model as BentoML's documentation serves it. Copied to the folder of its model."""

from __future__ import annotations

from pathlib import Path

import bentoml
import numpy as np
import skops.io


@bentoml.service(workers=1)
class Stock:
    def __init__(self) -> None:
        path = Path(__file__).with_name("model.skops")
        self.model = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict_proba(rows))
