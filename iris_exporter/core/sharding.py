"""Which process of a fleet receives which stream: rendezvous hashing.

Each shard gets a score for each stream from a hash of both names; the highest score owns the stream. When the number of
shards grows from n to n+1, a stream moves only when the new shard scores highest for it: about one stream in n+1, and
none between old shards. Nothing is agreed upon and nothing is stored; every process comes to the same answer.
"""

import hashlib
import re

MAX_SHARDS = 1024
"""The score of each shard is computed for each stream, which is quick for some hundreds."""

_ORDINAL = re.compile(r"-(\d{1,4})\Z")


def owner(stream: str, total: int) -> int:
    """The ordinal of the shard that receives `stream` among `total` shards."""
    if total == 1:
        return 0
    name = stream.encode("utf-8", "surrogatepass")

    def score(ordinal: int) -> tuple[bytes, int]:
        return hashlib.blake2b(name, digest_size=8, key=b"iris-shard-%d" % ordinal).digest(), ordinal

    return max(range(total), key=score)


def ordinal_of(host_name: str) -> int | None:
    """The ordinal at the end of a StatefulSet pod's host name (`iris-exporter-3`); None for another kind of name."""
    match = _ORDINAL.search(host_name.partition(".")[0])
    return None if match is None else int(match[1])
