"""Verifies the DKIM signature of the message on standard input, with dkimpy.

verify.py NAME RECORD: the name at which the key must be asked for, and its record.
"""
import sys
import dkim

name, record = sys.argv[1:3]


def lookup(asked, timeout=5):
    return record.encode() if asked.decode().rstrip(".") == name else None


message = sys.stdin.buffer.read()
v = dkim.DKIM(message)
if not v.verify(dnsfunc=lookup):
    sys.exit("the signature is wrong")
print(" ".join(sorted(h.decode().lower() for h in set(v.include_headers))))
