"""The protobuf messages of IRIS (`iris.v1`)."""
