"""Is this data good: find copies, and divide a set so that the test is honest."""

from vision_toolkit.curation.duplicates import near_duplicates, perceptual_hash
from vision_toolkit.curation.split import TRAIN_ONLY, Groups, fold_numbers, k_fold, train_test_split

__all__ = [
    "TRAIN_ONLY",
    "Groups",
    "fold_numbers",
    "k_fold",
    "near_duplicates",
    "perceptual_hash",
    "train_test_split",
]
