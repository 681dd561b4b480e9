"""IRIS over GraphQL: one subscription over `graphql-transport-ws`; all other addresses speak as `iris_stream` does."""
