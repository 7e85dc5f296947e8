"""What learns: from labelled images to a model that predicts, explains and moves.

========================  ==========================================================
:mod:`.train`             ``train``: the whole way, decided on held-out scores
:mod:`.model`             ``Model``: predict, evaluate, threshold, save; ``load``
:mod:`.runtime`           all that runs at prediction time, in one stand-alone file
:mod:`.backbone`          any timm network as one ONNX graph of features
:mod:`.filters`           fixed filters: what there is without pretrained weights
:mod:`.features`          run the backbone over a manifest, once
:mod:`.memory`            memory of normal patches: heat maps
:mod:`.verdict`           candidates, cross-validation, calibration, threshold
:mod:`.decoder`           anomaly types, pixel by pixel
:mod:`.export`            a package that runs alone, once it has reproduced golden answers
:mod:`.comparison`        ``compare``: two models on the same images
:mod:`.learning`          ``learning_curve``: would more images help, and of which kind
:mod:`.card`              what a model is, in words
:mod:`.progress`          how far a long work is
:mod:`.report`            a page to forward
========================  ==========================================================
"""
