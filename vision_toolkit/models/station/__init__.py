"""Run a package on the line: what it carries beside ``runtime.py``, with the standard library, numpy and Pillow only.

An exported package holds this folder to the letter, so it knows nobody in this house, and its files import one another
relatively.

==================  ==================================================================
:mod:`.watch`       ``python PACKAGE watch IN OUT``: images in, JSON Lines and overlays out
:mod:`.arrivals`    which images have come, whole, and were not answered yet
:mod:`.journal`     one line an image, exactly once, whatever is killed
:mod:`.inspection`  the whole way of an image
:mod:`.pictures`    read, remember and move the file of an image
:mod:`.days`        the histogram and the findings of each day
:mod:`.draw`        the overlay and the mask of an image
:mod:`.hooks`       tell a command or a URL of every line, in order, at least once
:mod:`.drift`       histograms of scores, and whether a day's have left the training
:mod:`.room`        how much disk there is, and who gives way
==================  ==================================================================
"""
