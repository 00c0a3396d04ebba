"""What ends a TLS connection, in words that tell whose certificate is wrong, and in the same ones each time."""

from __future__ import annotations

import ssl

RENEW = "Make a new one on the head node: bcm-jobstats certificate --for role-monitor"
AUTHORITY = "ca_path in config.json has to be this cluster's own authority: /cm/local/apps/cmd/etc/cacert.pem"
CLOCKS = "Compare the clocks of the node and the head node; else renew the head node's certificate."
NAMES = "bcm_headnodes or server_name in config.json has to be a name in that certificate."
CHECK = "Check CMDaemon on the head node (systemctl status cmd) and bcm_headnodes and bcm_port in config.json."

VERIFY = {
    9: ("its certificate is not valid yet", CLOCKS),
    10: ("its certificate has expired", CLOCKS),
    62: ("its certificate is for another name", NAMES),
    64: ("its certificate is for another address", NAMES),
}
"""By OpenSSL's number of what is wrong with a head node's certificate; all others: it is not of our authority."""
ALERTS = {
    "CERTIFICATE_EXPIRED": "says that this node's certificate has expired",
    "CERTIFICATE_REVOKED": "says that this node's certificate is revoked",
    "UNKNOWN_CA": "says that this node's certificate is of another cluster",
    "BAD_CERTIFICATE": "does not take this node's certificate",
    "CERTIFICATE_UNKNOWN": "does not take this node's certificate",
    "UNSUPPORTED_CERTIFICATE": "does not take this node's certificate",
    "ACCESS_DENIED": "does not take this node's certificate",
    "CERTIFICATE_REQUIRED": "got no certificate from this node",
    "DECRYPT_ERROR": "does not take this node's certificate",
}
"""How the reasons of OpenSSL end that come from the other side."""


def trouble(error: ssl.SSLError) -> tuple[str, str]:
    """The cause and the remedy of a connection that TLS ended, in the same words each time."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return VERIFY.get(error.verify_code, ("its certificate is not of BCM's authority", AUTHORITY))
    reason = error.reason or ""
    for end, cause in ALERTS.items():
        if reason.endswith(f"ALERT_{end}"):
            return cause, RENEW
    words = reason.lower().replace("_", " ") or "it ended without a word"
    return f"no secure connection: {words}", CHECK
