"""A stand-in for Triton's ONNX Runtime backend, which the cluster suite's Triton lacks.

As `backends/onnxruntime/model.py` it is what serves a model whose config.pbtxt says `backend: "onnxruntime"`:
the config.pbtxt of the real server, unchanged. It refuses what the real backend refuses: a file that is no
ONNX, and tensors that the configuration and the file do not agree on. CPUs alone.
"""

import json
from pathlib import Path

import numpy
import onnxruntime
import triton_python_backend_utils as triton

TYPES = {"tensor(float)": "TYPE_FP32", "tensor(double)": "TYPE_FP64", "tensor(int64)": "TYPE_INT64"}


class TritonPythonModel:
    """One instance of one version of a model."""

    @staticmethod
    def auto_complete_config(config):
        """The configuration is taken as it is written."""
        return config

    def initialize(self, args):
        """Load model.onnx of the version's folder; raise the reason where it cannot be served."""
        config = json.loads(args["model_config"])
        file = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        options = onnxruntime.SessionOptions()
        # As many threads for each instance as the machine has cores would only wait for each other.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            self.session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise triton.TritonModelException(f"onnx runtime error: load model {file} failed: {error}") from error
        self.inputs = agreed("input", config["input"], self.session.get_inputs(), config["max_batch_size"])
        self.outputs = agreed("output", config["output"], self.session.get_outputs(), config["max_batch_size"])

    def execute(self, requests):
        """Answer requests that arrived together with one run of the model, as the real backend does."""
        given = [
            {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
            for request in requests
        ]
        rows = [len(each[self.inputs[0]]) for each in given]
        try:
            feed = {name: numpy.concatenate([each[name] for each in given]) for name in self.inputs}
            answers = self.session.run(self.outputs, feed)
        except Exception as error:
            failed = triton.TritonError(f"onnx runtime error: {error}")
            return [triton.InferenceResponse([], failed) for _ in requests]
        ends = numpy.cumsum(rows)[:-1]
        parts = [numpy.split(answer, ends) for answer in answers]
        return [
            triton.InferenceResponse(
                [triton.Tensor(name, part[index]) for name, part in zip(self.outputs, parts)]
            )
            for index in range(len(requests))
        ]


def agreed(kind, configured, actual, batch):
    """The names of the tensors, where configuration and file agree."""
    known = {each.name: each for each in actual}
    for each in configured:
        name = each["name"]
        if name not in known:
            raise triton.TritonModelException(
                f"unexpected inference {kind} '{name}', allowed {kind}s are: {', '.join(known)}"
            )
        dims = [int(dim) for dim in each["dims"]]
        shape = known[name].shape[1:] if batch else known[name].shape
        same = len(dims) == len(shape) and all(
            not isinstance(there, int) or here == there for here, there in zip(dims, shape)
        )
        if not same or TYPES.get(known[name].type) != each["data_type"]:
            raise triton.TritonModelException(
                f"{kind} '{name}': configured {each['data_type']} {dims}, the model has {known[name].type} {shape}"
            )
    if kind == "input" and len(configured) != len(known):
        raise triton.TritonModelException(
            f"expected {len(known)} inputs but got {len(configured)} inputs in the configuration"
        )
    return [each["name"] for each in configured]
