"""Compile the schema of the binary encoding: `iris_pb2.py` and its types, beside `iris.proto`.

The version of grpcio-tools in pyproject.toml decides what comes out, and which versions of protobuf can load it.
"""

import subprocess
import sys
from pathlib import Path

SCHEMAS = Path(__file__).resolve().parent.parent / "iris_exporter" / "wire"


def main() -> int:
    """Run the compiler, which prints what is wrong with the schema; the exit code is its own."""
    command = (sys.executable, "-m", "grpc_tools.protoc", "-I.", "--python_out=.", "--pyi_out=.", "iris/v1/iris.proto")
    return subprocess.run(command, cwd=SCHEMAS, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
