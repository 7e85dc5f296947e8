"""What runs beside ``runtime.py`` in a package: stand-alone modules that a package carries to the letter.

They import the standard library, numpy, Pillow and one another, nothing of ours: in a package this folder is
``station/``, and ``runtime.py``, which they are given as a module, lies beside it.

==================  ==================================================================
:mod:`.command`     the command line: ``python FOLDER predict | serve | watch | check``
:mod:`.files`       whether the files are those that were exported
:mod:`.check`       whether the golden answers come again on this machine
:mod:`.serve`       a small HTTP server
:mod:`.watch`       the folder watcher: images in, JSON Lines and overlays out
:mod:`.inspection`  the whole way of an image that comes into a folder
:mod:`.arrivals`    which images have come, whole, and were not answered yet
:mod:`.pictures`    read, remember and move the file of an image
:mod:`.journal`     one line an image, exactly once, whatever is killed
:mod:`.draw`        the overlay of an image
:mod:`.hooks`       tell a command or a URL of every line, in order, at least once
:mod:`.days`        the histogram and the findings of each day
:mod:`.drift`       whether a day's scores have left the training's
:mod:`.room`        how much disk there is, and who gives way
==================  ==================================================================
"""
