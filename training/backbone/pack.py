"""Pack a distilled student into the one file that the package carries.

    python training/backbone/pack.py build/backbone/student.safetensors [--out vision_toolkit/models/backbone.onnx]

The last layer is left out (`vector` is the mean of the last block's features), the weights of the convolutions are
rounded to half precision, and what the network is stands in the file's metadata.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vision_toolkit.models.backbone import HALF, OURS, export_extractor, load_network, without_head

FACTS = {
    "name": "vision_toolkit backbone",
    "weights": "in the package: distilled by us from MobileNetV2 on drawn images",
    "licence": "Apache-2.0",
    "timm": "mobilenetv2_100",
    "pad_type": "same",
}


def pack(student: Path) -> bytes:
    """Return the ONNX graph of a student."""
    network, facts = load_network(student)
    without_head(network)
    model = onnx.load_from_string(export_extractor(network, facts["mean"], facts["std"], named=True))
    casts = []
    for item in model.graph.initializer:
        values = numpy_helper.to_array(item)
        if values.dtype == np.float32 and values.ndim == 4 and values.size > 3:
            half = numpy_helper.from_array(values.astype(np.float16), item.name + HALF)
            casts.append(helper.make_node("Cast", [half.name], [item.name], to=TensorProto.FLOAT))
            item.CopyFrom(half)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    said = FACTS | {name: " ".join(map(str, facts[name])) for name in ("mean", "std")}
    helper.set_model_props(model, said)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("student", type=Path)
    parser.add_argument("--out", type=Path, default=OURS)
    options = parser.parse_args()
    data = pack(options.student)
    options.out.write_bytes(data)
    print(f"{options.out}: {len(data) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
