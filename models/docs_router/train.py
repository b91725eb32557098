"""The estimator of docs-router."""

from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline


def estimator(parameters: dict[str, Any], seed: int) -> Pipeline:
    """A logistic regression over words and pairs of words that stand in at least ``fewest`` texts; rare parts count as much as large ones.

    Words are of the letters a to z, and none is left out for its rank: so ONNX answers exactly as scikit-learn does (README.md).
    """
    words = TfidfVectorizer(token_pattern=r"[a-zA-Z]+", ngram_range=(1, 2), min_df=parameters["fewest"])
    regression = LogisticRegression(C=parameters["C"], max_iter=parameters["max-iterations"], class_weight="balanced", random_state=seed)
    return make_pipeline(words, regression)
