"""Notebook widgets: Python that keeps the truth, an ES module and a style sheet that show it.

========================  ==========================================================
:mod:`.labeler`           ``Labeler``: label images with keys; labeler.js and labeler.css are its page
:mod:`.label_queue`       which image comes next, and what the page is told
:mod:`.ordering`          in which order images are labelled
:mod:`.key_map`           which key does what
:mod:`.box_labeler`       ``BoxLabeler``: draw boxes; box_labeler.js, boxes.js, viewport.js and box_labeler.css
:mod:`.box_history`       the boxes of many images, and what they were before
:mod:`.review`            ``Review``: look at verdicts, mend labels, move the threshold; review.js, review.css
:mod:`.verdicts`          what a model said of many images, as numbers that are counted in no time; board.js in the page
:mod:`.looks`             how an image of a review looks, small and large
:mod:`.layers`            what is laid over an image
:mod:`.mask_painter`      ``MaskPainter``: paint masks of anomaly types; mask_painter.js, mask_painter.css
:mod:`.raster`            what paints on a mask; raster.js does the same in the page, pixel for pixel
:mod:`.page`              what every widget does with messages; page.js and page.css begin every page
:mod:`.pictures`          images for pages, made beside the kernel's own thread
:mod:`.wire`              what a page may say, checked
========================  ==========================================================
"""

from vision_toolkit.widgets.box_labeler import BoxLabeler
from vision_toolkit.widgets.labeler import Labeler
from vision_toolkit.widgets.mask_painter import MaskPainter
from vision_toolkit.widgets.review import Review

__all__ = ["BoxLabeler", "Labeler", "MaskPainter", "Review"]
