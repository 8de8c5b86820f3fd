"""A mail server that is none of ours: aiosmtpd with STARTTLS, AUTH and SIZE.

mailbox.py [CERTIFICATE KEY USER PASSWORD [AUTHORITY]] prints its port, then a line of
JSON for each message that it takes. Without arguments it asks for neither TLS nor AUTH;
with an authority, for a certificate of it.
"""
import asyncio, base64, json, ssl, sys
from aiosmtpd.smtp import AuthResult, SMTP

guarded = len(sys.argv) > 1
cert, key, user, password = sys.argv[1:5] if guarded else ("",) * 4


class Mailbox:
    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None,
            "user": session.auth_data.decode() if session.auth_data else "",
            "data": base64.b64encode(envelope.original_content).decode(),
        }), flush=True)
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    if data.login == user.encode() and data.password == password.encode():
        return AuthResult(success=True, auth_data=data.login)
    return AuthResult(success=False, handled=False)


if guarded:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if len(sys.argv) > 5:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(sys.argv[5])


def session():
    if not guarded:
        return SMTP(Mailbox(), hostname="mailbox", loop=loop)
    return SMTP(Mailbox(), tls_context=context, require_starttls=True, auth_required=True, authenticator=authenticate, hostname="mailbox", loop=loop)


loop = asyncio.new_event_loop()
server = loop.run_until_complete(loop.create_server(session, "127.0.0.1", 0))
print(server.sockets[0].getsockname()[1], flush=True)
loop.run_forever()
