"""The longer answers of `help`: the sections are those of AM11 §6.4's `help createcertificate`, the words invented."""

from __future__ import annotations

ASSIGN_FORMS = {
    "yes": "   assign generic::<name>\n",
    "typed": "   assign generic <name>\n",
    "class": "   assign GenericRole <name>\n",
    "no": "",
}
"""The line of `help assign` that tells how a new generic role is assigned, by the switch `generic_assign`."""


def help_assign(form: str, roles: str) -> str:
    """`help assign` among roles."""
    return (
        "Name:\n   assign - Assign a role\n\n"
        f"Usage:\n   assign <role>\n{ASSIGN_FORMS[form]}\n"
        f"Arguments:\n   role\n      One of: {roles}\n"
    )


HELP_CREATE_CERTIFICATE = """Name:
   createcertificate - Create a new certificate

Usage:
   createcertificate <key-length> <common-name> <organization> <organizational-unit> <locality> <state> <country> \
<profile> <sys-login> <days> <key-file> <cert-file>

Arguments:
   key-file
      Path to the file that gets the private key
   cert-file
      Path to the file that gets the certificate
"""
"""The usage is AM11 §6.4's; the words around it are invented."""
