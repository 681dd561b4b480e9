"""Which texts can be the host of an address. Pure.

Source: RFC 1035, section 2.3.4 (a label has 1 to 63 octets, a name 255 with its lengths); RFC 6874 (zones of IPv6).
"""

import ipaddress
import re

_LABEL = re.compile(r"[A-Za-z0-9_~-]{1,63}", re.ASCII)
_MAX_NAME_CHARS = 253


def is_host(text: str) -> bool:
    """Whether `text` is an IP address, without brackets, or a name that can be looked up; a dot at its end may stay.

    Names beyond ASCII come in their encoded form (`xn--...`).
    """
    if ":" in text:
        try:
            ipaddress.IPv6Address(text.replace("%25", "%"))
        except ValueError:
            return False
        return text.isascii()
    name = text.removesuffix(".")
    return len(name) <= _MAX_NAME_CHARS and all(_LABEL.fullmatch(label) for label in name.split("."))
