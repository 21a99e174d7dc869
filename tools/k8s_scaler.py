"""Asks routers as KEDA does. Usage: k8s_scaler.py TRIGGERS SECONDS, both of tools/k8s_keda.py.

TRIGGERS is JSON: {name of a ScaledObject: metadata of its trigger}. Each external scaler is asked every
SECONDS for its metric, and holds a stream of whether it is active. What is heard goes to stdout, a JSON
object a line: {"name", "at" (of the monotonic clock), and "active" or "value"}. Runs until it is ended.

A process of its own, because it must be on a host of the network, and by Debian's Python, whose
python3-grpcio and python3-protobuf it needs. Messages are made from proto/externalscaler by protoc.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import grpc

PROTO = pathlib.Path(__file__).resolve().parent.parent / "proto"
SERVICE = "/externalscaler.ExternalScaler/"
CALL_TIMEOUT_S = 5
AGAIN_S = 2  # after a stream that ended well, as KEDA does


def messages():
    """The module that protoc makes of externalscaler.proto."""
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["protoc", f"-I{PROTO}", f"--python_out={work}",
                        PROTO / "externalscaler/externalscaler.proto"], check=True)
        sys.path.insert(0, f"{work}/externalscaler")
        import externalscaler_pb2
        return externalscaler_pb2


class Scaler:
    """One ScaledObject's trigger."""

    def __init__(self, pb, name, metadata):
        self.name = name
        self.reference = pb.ScaledObjectRef(name=name, scalerMetadata=metadata)
        self.request = pb.GetMetricsRequest(scaledObjectRef=self.reference, metricName="desired-replicas")
        channel = grpc.insecure_channel(metadata["scalerAddress"])
        self.stream_is_active = channel.unary_stream(
            SERVICE + "StreamIsActive", pb.ScaledObjectRef.SerializeToString, pb.IsActiveResponse.FromString)
        self.get_metrics = channel.unary_unary(
            SERVICE + "GetMetrics", pb.GetMetricsRequest.SerializeToString, pb.GetMetricsResponse.FromString)

    def tell(self, **what):
        # One write: lines of several threads must not be mixed.
        sys.stdout.write(json.dumps({"name": self.name, "at": time.monotonic(), **what}) + "\n")
        sys.stdout.flush()

    def listen(self):
        while True:
            try:
                for answer in self.stream_is_active(self.reference, wait_for_ready=True):
                    self.tell(active=answer.result)
            except grpc.RpcError as error:
                print(f"{self.name}: {error.code()} {error.details()}", file=sys.stderr)
            time.sleep(AGAIN_S)

    def ask(self):
        try:
            answer = self.get_metrics(self.request, timeout=CALL_TIMEOUT_S, wait_for_ready=True)
            self.tell(value=answer.metricValues[0].metricValueFloat)
        except grpc.RpcError as error:
            print(f"{self.name}: {error.code()} {error.details()}", file=sys.stderr)


def main(triggers, seconds):
    pb = messages()
    scalers = [Scaler(pb, name, metadata) for name, metadata in json.loads(triggers).items()]
    for scaler in scalers:
        threading.Thread(target=scaler.listen, daemon=True).start()
    while True:
        for scaler in scalers:
            scaler.ask()
        time.sleep(float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
