"""IRIS streams that take a subscription, in JSON and in protobuf; all other addresses speak plain JSON as ever."""
