"""ONNX Runtime: inference on a graph with the net's weights in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession, SessionOptions

if TYPE_CHECKING:
    from benchmarks.nets import Array, Piece
    from benchmarks.peers import Order

OPSET, IR_VERSION = 17, 8
ACTIVATIONS: Final = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "selu": "Selu"}


class OnnxRuntime:
    """A session with all graph optimizations, as by default."""

    def __init__(self, order: Order) -> None:
        options = SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = order.threads, 1
        graph = _graph(order.pieces).SerializeToString()
        self._session = InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def arrays(self, x: Array, y: Array) -> tuple[Any, Any]:
        return np.ascontiguousarray(x, np.float32), y

    def step(self, x: Any, y: Any) -> Any:
        raise NotImplementedError("it infers only")

    def forward(self, x: Any) -> Any:
        return self._session.run(None, {"x": x})[0]

    def number(self, loss: Any) -> float:
        raise NotImplementedError("it infers only")


def _graph(pieces: Any) -> Any:
    """The net as an ONNX model with a free batch axis."""
    nodes, constants, last = [], [], "x"
    for number, piece in enumerate(p for p in pieces if p.part.kind != "dropout"):
        names = [f"v{number}_{n}" for n in range(len(piece.values) + len(piece.states))]
        for name, value in zip(names, (*piece.values, *piece.states), strict=True):
            constants.append(numpy_helper.from_array(np.array(value, np.float32), name))
        operation, attributes = _operation(piece)
        after = f"t{number}"
        nodes.append(helper.make_node(operation, [last, *names], [after], **attributes))
        last = after
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    y = helper.make_tensor_value_info(last, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "net", [x], [y], constants)
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opset)


def _operation(piece: Piece) -> tuple[str, dict[str, Any]]:
    """The operation of a part and its attributes."""
    size = int(piece.part.number)
    match piece.part.kind:
        case "dense":
            return "Gemm", {}
        case "conv":
            return "Conv", {"pads": [size] * 4}
        case "batch_norm":
            return "BatchNormalization", {"epsilon": 1e-5}
        case "max_pool" | "avg_pool" as kind:
            square = [size, size]
            name = "MaxPool" if kind == "max_pool" else "AveragePool"
            return name, {"kernel_shape": square, "strides": square}
        case "flatten":
            return "Flatten", {}
        case activation:
            return ACTIVATIONS[activation], {}
