"""Gives an int8 TFLite network a uint8 border: a QUANTIZE before the first operator and one after the last.

LiteRT.js takes no int8 tensors from JavaScript, though it runs int8 networks. The arithmetic between the two
operators is untouched; each of them only adds or subtracts 128.

    python -m venv dist/venv && dist/venv/bin/pip install --no-deps ai-edge-litert==2.3.0 flatbuffers==25.12.19 numpy
    dist/venv/bin/python uint8_border.py IN.tflite OUT.tflite
"""

import copy
import sys

import flatbuffers
from ai_edge_litert import schema_py_generated as schema


def quantize_code(model):
    """Index of QUANTIZE among the model's operator codes, added where it is missing."""
    code = schema.BuiltinOperator.QUANTIZE
    for index, entry in enumerate(model.operatorCodes):
        if entry.builtinCode == code:
            return index
    entry = schema.OperatorCodeT()
    entry.builtinCode = entry.deprecatedBuiltinCode = code
    entry.version = 1
    model.operatorCodes.append(entry)
    return len(model.operatorCodes) - 1


def border(graph, code, index, entering):
    """Adds the uint8 twin of tensor `index` and the operator between them; gives the twin's index."""
    twin = copy.deepcopy(graph.tensors[index])
    twin.type = schema.TensorType.UINT8
    twin.name = graph.tensors[index].name + b"_uint8"
    twin.quantization.zeroPoint = [int(zero) + 128 for zero in twin.quantization.zeroPoint]
    graph.tensors.append(twin)
    added = len(graph.tensors) - 1
    operator = schema.OperatorT()
    operator.opcodeIndex = code
    operator.inputs, operator.outputs = ([added], [index]) if entering else ([index], [added])
    graph.operators.insert(0 if entering else len(graph.operators), operator)
    return added


def main(source, target):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(open(source, "rb").read(), 0))
    graph = model.subgraphs[0]
    code = quantize_code(model)
    signatures = model.signatureDefs or []
    graph.inputs, graph.outputs = list(graph.inputs), list(graph.outputs)
    for tensors, entering in ((graph.inputs, True), (graph.outputs, False)):
        old = int(tensors[0])
        if graph.tensors[old].type != schema.TensorType.INT8:
            sys.exit(f"{source}: the border is not int8")
        tensors[0] = border(graph, code, old, entering)
        for signature in signatures:
            for entry in signature.inputs if entering else signature.outputs:
                entry.tensorIndex = tensors[0]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    open(target, "wb").write(builder.Output())


if __name__ == "__main__":
    main(*sys.argv[1:])
