"""Run by `helm test`: the exporter answers, and what it answers are its metrics."""

import os
import ssl
import sys
import time
import urllib.error
import urllib.request

URL = os.environ["URL"]
# The certificate is for the names that clients use, which need not be the Service's; no secret is sent here.
CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE

problem: object = None
for _ in range(15):
    try:
        with urllib.request.urlopen(URL, timeout=5, context=CONTEXT) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        error.close()
        if os.environ.get("AUTHENTICATION") and error.code == 401:
            print(f"{URL} asks for a password, as configured")
            sys.exit(0)
        problem = error
    except OSError as error:
        # A client certificate that is asked for ends the handshake, which is an answer too.
        if os.environ.get("AUTHENTICATION") and isinstance(error, (ssl.SSLError, ConnectionResetError)):
            print(f"{URL} asks for a client certificate, as configured")
            sys.exit(0)
        problem = error
    else:
        if "iris_exporter_build_info" not in text:
            sys.exit(f"{URL} is not the exporter: {text[:200]}")
        lines = [line for line in text.splitlines() if line.startswith(("iris_exporter_build_info", "iris_up"))]
        print(*lines, f"{len(text.splitlines())} lines from {URL}", sep="\n")
        sys.exit(0)
    time.sleep(2)
sys.exit(f"{URL}: {problem}")
