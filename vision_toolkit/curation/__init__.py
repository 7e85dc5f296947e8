"""Is this data good: find bad pictures, copies and contradictions, and divide a set so that the test is honest.

====================  ==============================================================
:mod:`.report`        look at a whole set, say what is odd, propose what to remove
:mod:`.measures`      light, contrast, sharpness, size and kind of each image
:mod:`.checks`        the rules; which images differ too much from the others
:mod:`.copies`        what it means that images show the same thing
:mod:`.duplicates`    find shots of the same thing
:mod:`.split`         training and test sides, folds
:mod:`.page`          the report as HTML
====================  ==============================================================
"""

from vision_toolkit.curation.checks import RULES, Embed, Oddity, odd_images, outlier_scores
from vision_toolkit.curation.duplicates import near_duplicates, perceptual_hash
from vision_toolkit.curation.measures import Measures, measure_images
from vision_toolkit.curation.report import PROPOSED, REMOVABLE, Curation, Removal, curate
from vision_toolkit.curation.split import TRAIN_ONLY, Groups, fold_numbers, k_fold, train_test_split

__all__ = [
    "PROPOSED",
    "REMOVABLE",
    "RULES",
    "TRAIN_ONLY",
    "Curation",
    "Embed",
    "Groups",
    "Measures",
    "Oddity",
    "Removal",
    "curate",
    "fold_numbers",
    "k_fold",
    "measure_images",
    "near_duplicates",
    "odd_images",
    "outlier_scores",
    "perceptual_hash",
    "train_test_split",
]
