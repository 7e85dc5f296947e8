"""Notebook widgets: Python that keeps the truth, an ES module and a style sheet that show it.

========================  ==========================================================
:mod:`.labeler`           ``Labeler``: label images with keys; labeler.js and labeler.css are its page
:mod:`.label_queue`       which image comes next, and what the page is told
:mod:`.ordering`          in which order images are labelled
:mod:`.key_map`           which key does what
:mod:`.wire`              what the page may say, checked
========================  ==========================================================
"""

from vision_toolkit.widgets.labeler import Labeler

__all__ = ["Labeler"]
