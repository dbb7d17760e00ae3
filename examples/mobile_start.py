"""A model to start training from: MobileNetV2 as a detector knows it, and a decoder that knows nothing yet.

    python -m pip install tflite
    npm pack @mediapipe/objectron       # Apache-2.0, by Google; version 0.4.1675468480 was used for the bundled model
    tar -xzf mediapipe-objectron-*.tgz
    python examples/mobile_start.py package/objectron_solution_packed_assets.data START
    cyclopean train supervised --network mobile --init START ...

(`--method monodepth` for `cyclopean train monodepth`, `--method coordnet` for `cyclopean train panorama`.)

The detector in that package finds things in photographs (23 classes of Open Images V4, pictures under CC BY); it has
seen no depth. Its normalisation is folded into its convolutions, and `Mobile` has just those layers, in that order.
"""
# ruff: noqa: T201 (it talks to a person)

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tflite  # type: ignore[import-not-found]
import torch
from torch import Tensor, nn

from cyclopean.methods.monodepth import Monodepth
from cyclopean.methods.spherical_view_synthesis import SphericalViewSynthesis
from cyclopean.methods.supervised import Supervised
from cyclopean.training import checkpoint

METHODS = {
    "supervised": lambda: Supervised("mobile", 1.0),
    "monodepth": lambda: Monodepth("mobile", 1.0),
    "coordnet": lambda: SphericalViewSynthesis("TC", circular=True, network="mobile"),
}
MARK = b"TFL3"  # stands 4 bytes after the start of a TensorFlow Lite model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", type=Path, help="a .tflite file, or a file that holds one after something else")
    parser.add_argument("out", type=Path, help="folder of the model to write")
    parser.add_argument("--method", choices=METHODS, default="supervised", help="what will be trained")
    parser.add_argument("--seed", type=int, default=0, help="of the decoder")
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    method = METHODS[given.method]()
    content = given.detector.read_bytes()
    encoder = method.network.dense.encoder if given.method == "coordnet" else method.network.encoder
    fill(encoder, content[content.index(MARK) - 4 :])
    checkpoint.save(given.out, method, {"start": "MobileNetV2 of an Open Images V4 detector, Apache-2.0"})
    print(f"wrote {given.out}")


def fill(encoder: nn.Module, content: bytes) -> None:
    """Give each convolution of `encoder`, in the order in which they run, the detector's weights."""
    theirs = convolutions(content)
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d):
            weight, bias = next(theirs)
            with torch.no_grad():
                layer.weight.zero_()  # of channels that the detector does not have: a panorama's rows
                layer.weight[:, : len(weight[0])] = weight if layer.groups == 1 else weight.transpose(0, 1)
                layer.bias.copy_(bias)


def convolutions(content: bytes) -> Iterator[tuple[Tensor, Tensor]]:
    """(weights as out, in, height, width; biases) of the backbone's convolutions; depthwise ones as 1, channels."""
    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    operators = [graph.Operators(k) for k in range(graph.OperatorsLength())]

    def kind(operator: tflite.Operator) -> int:
        code = model.OperatorCodes(operator.OpcodeIndex())
        return max(code.BuiltinCode(), code.DeprecatedBuiltinCode())

    stored = {  # weights are kept as float16: what is unpacked -> what is stored
        operator.Outputs(0): operator.Inputs(0)
        for operator in operators
        if kind(operator) == tflite.BuiltinOperator.DEQUANTIZE
    }

    def values(index: int) -> Tensor:
        tensor = graph.Tensors(stored.get(index, index))
        dtype = np.float16 if tensor.Type() == tflite.TensorType.FLOAT16 else np.float32
        flat = np.frombuffer(model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes(), dtype)
        return torch.from_numpy(flat.astype(np.float32).reshape(tensor.ShapeAsNumpy()))

    for operator in operators:
        if kind(operator) in (tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D):
            name = graph.Tensors(operator.Outputs(0)).Name().decode()
            if "BoxPredictor" in name and "biases" in name:  # a head that reads the backbone from here
                continue
            yield values(operator.Inputs(1)).permute(0, 3, 1, 2), values(operator.Inputs(2))


if __name__ == "__main__":
    main()
