"""Say how good a model is.

========================  ==========================================================
:mod:`.counts`            ``Counts`` of hits and misses, of images or pixels
:mod:`.scores`            precision, recall, F1 ...: pure functions of counts
:mod:`.curves`            what every threshold would give: ROC, precision-recall, calibration
:mod:`.intervals`         ``Score``: a number that knows how far it may be off
:mod:`.thresholds`        rules that choose the score from which an image is an anomaly
:mod:`.rates`             how many of new images would reach a threshold, from few
:mod:`.prevalence`        ``shift_prior``: probabilities where anomalies are rarer
:mod:`.forecast`          ``Forecast``: alarms and misses to expect in 1,000 parts
:mod:`.type_scores`       ``TypeScore``: how well one anomaly type was found
:mod:`.evaluation`        ``Evaluation``: a model judged on images with known answers
:mod:`.moves`             ``Move``: what another threshold changes
:mod:`.files`             evaluations written and read in the form of Lookout for Vision
:mod:`.paired`            how far two models differ on the same images, and how surely
:mod:`.comparison`        ``Comparison``: which of two models is better, if that can be told
:mod:`.learning_curve`    ``LearningCurve``: would more images help, and of which kind
:mod:`.power_law`         the curves behind it
========================  ==========================================================
"""

from vision_toolkit.metrics.comparison import Change, Comparison, compare_evaluations
from vision_toolkit.metrics.counts import Counts, count, count_pixels
from vision_toolkit.metrics.curves import (
    Calibration,
    PrCurve,
    RocCurve,
    average_precision,
    brier_score,
    calibration,
    pr_curve,
    roc_auc,
    roc_curve,
)
from vision_toolkit.metrics.evaluation import Evaluation, Row
from vision_toolkit.metrics.files import evaluation_lines, evaluation_result, read_evaluation, write_evaluation
from vision_toolkit.metrics.forecast import Forecast
from vision_toolkit.metrics.intervals import (
    Score,
    average_precision_interval,
    bootstrap,
    f1_interval,
    mean_interval,
    proportion_interval,
    roc_auc_interval,
    wilson,
)
from vision_toolkit.metrics.learning_curve import Gain, LearningCurve, LearningPoint, Trial
from vision_toolkit.metrics.moves import Move
from vision_toolkit.metrics.paired import (
    average_precision_difference,
    delong,
    f1_difference,
    images_needed,
    mcnemar,
    precision_difference,
    proportion_difference,
    roc_auc_difference,
)
from vision_toolkit.metrics.prevalence import shift_prior
from vision_toolkit.metrics.scores import (
    accuracy,
    balanced_accuracy,
    f1,
    f_beta,
    iou,
    mcc,
    negative_predictive_value,
    precision,
    recall,
    specificity,
)
from vision_toolkit.metrics.thresholds import at_cost, at_precision, at_recall, best_f1, choose_threshold
from vision_toolkit.metrics.type_scores import TypeScore

__all__ = [
    "Calibration",
    "Change",
    "Comparison",
    "Counts",
    "Evaluation",
    "Forecast",
    "Gain",
    "LearningCurve",
    "LearningPoint",
    "Move",
    "PrCurve",
    "RocCurve",
    "Row",
    "Score",
    "Trial",
    "TypeScore",
    "accuracy",
    "at_cost",
    "at_precision",
    "at_recall",
    "average_precision",
    "average_precision_difference",
    "average_precision_interval",
    "balanced_accuracy",
    "best_f1",
    "bootstrap",
    "brier_score",
    "calibration",
    "choose_threshold",
    "compare_evaluations",
    "count",
    "count_pixels",
    "delong",
    "evaluation_lines",
    "evaluation_result",
    "f1",
    "f1_difference",
    "f1_interval",
    "f_beta",
    "images_needed",
    "iou",
    "mcc",
    "mcnemar",
    "mean_interval",
    "negative_predictive_value",
    "pr_curve",
    "precision",
    "precision_difference",
    "proportion_difference",
    "proportion_interval",
    "read_evaluation",
    "recall",
    "roc_auc",
    "roc_auc_difference",
    "roc_auc_interval",
    "roc_curve",
    "shift_prior",
    "specificity",
    "wilson",
    "write_evaluation",
]
