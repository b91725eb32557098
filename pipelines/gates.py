"""What each gate of a release means, in a sentence for the person who reads that it passed."""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, str] = {
    "data": "Every row has the columns, types and ranges of model.yaml, few repeat others, and no distribution is unlike the reference.",
    "interface": "Requests that the champion answers are answered by this release too; no input and no label is gone.",
    "training-tests": "The model's own tests passed on the model that was trained in this run.",
    "evaluation": "On rows that neither it nor the champion learned from, it keeps every threshold and is within the margin.",
    "oracle": "What will serve answers like the scikit-learn model that was evaluated.",
    "golden": "Enough requests have a clear answer, and the packaged model repeats its own.",
    "service": "The packaged service was started as it will be, and gave every recorded answer over HTTP.",
}
"""Gate -> what its ``pass`` says. docs/how-to/gates.md tells the rest: where its thresholds stand, and what to do when it fails."""
