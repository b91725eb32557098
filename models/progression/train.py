"""The estimator of progression."""

from typing import Any

from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def estimator(parameters: dict[str, Any], seed: int) -> Pipeline:
    """A ridge regression over standardised measurements; ``alpha`` is the strength of its regularisation."""
    return make_pipeline(StandardScaler(), Ridge(alpha=parameters["alpha"], random_state=seed))
