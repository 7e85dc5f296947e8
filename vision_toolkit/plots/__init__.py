"""Arrays in, pictures out: knows nothing of files, metrics or models.

========================  ==========================================================
:mod:`.overlay`           a mask or a heat map over its image: as an array, or on an axes
:mod:`.gallery`           many images on one sheet
:mod:`.charts`            curves, confusion, scores, intervals: ``ax=None`` in, Axes out
:mod:`.learning`          scores over the number of training images
:mod:`.style`             the one quiet style that all of them share
========================  ==========================================================

matplotlib is imported when the first picture is drawn, not before.
"""

from vision_toolkit.plots.charts import (
    confusion_matrix,
    interval_bars,
    pr_curve,
    reliability,
    roc_curve,
    score_histogram,
    type_scores,
)
from vision_toolkit.plots.gallery import contact_sheet
from vision_toolkit.plots.learning import plot_learning_curve
from vision_toolkit.plots.overlay import overlay, show_overlay, trace

__all__ = [
    "confusion_matrix",
    "contact_sheet",
    "interval_bars",
    "overlay",
    "plot_learning_curve",
    "pr_curve",
    "reliability",
    "roc_curve",
    "score_histogram",
    "show_overlay",
    "trace",
    "type_scores",
]
