"""The estimator of the iris model."""

from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def estimator(parameters: dict[str, Any], seed: int) -> Pipeline:
    """A logistic regression over standardised measurements; ``C`` is the inverse strength of its regularisation."""
    regression = LogisticRegression(C=parameters["C"], max_iter=parameters["max-iterations"], random_state=seed)
    return make_pipeline(StandardScaler(), regression)
