"""What runs beside ``runtime.py`` in a package: stand-alone modules that a package carries to the letter.

They import the standard library, numpy and one another, nothing of ours: in a package this folder is ``station/``, and
``runtime.py``, which they are given as a module, lies beside it.

:mod:`.files`      whether the files are those that were exported
:mod:`.check`      whether the golden answers come again on this machine
:mod:`.serve`      a small HTTP server
:mod:`.command`    the command line: ``python FOLDER predict | serve | watch | check``
"""
