"""A person's way through the generated Python client against a running service: flow.py BASE_URL EMAIL"""

import re
import sys
import time

import httpx
from realmgate_client import AuthenticatedClient, Client
from realmgate_client.api.authentication import log_in, log_out, refresh_tokens, sign_up, verify_email
from realmgate_client.api.me import get_me, list_sessions, update_me
from realmgate_client.models import (
    LoginIn,
    LoginOut,
    MeOut,
    Problem,
    ProfileIn,
    RefreshIn,
    SessionsOut,
    SignUpIn,
    TokensOut,
    VerifiedOut,
    VerifyEmailIn,
)
from realmgate_client.types import UNSET

PASSWORD = "violet otter harbour"


def mailed_token(base: str, email: str) -> str:
    """The token of the mailed link; mails are sent beside the request that caused them."""
    for _ in range(50):
        reply = httpx.get(f"{base}/dev/mailbox/messages", params={"to": email})
        if found := re.search(r"verify-email\?token=([\w-]+)", reply.text):
            return found.group(1)
        time.sleep(0.2)
    raise SystemExit("no mail came")


def main(base: str, email: str) -> None:
    client = Client(base_url=base)
    signed_up = sign_up.sync_detailed(client=client, body=SignUpIn(name="Ada Lovelace", email=email, password=PASSWORD))
    assert signed_up.status_code == 202, signed_up

    weak = sign_up.sync(client=client, body=SignUpIn(name="Ada", email=email, password="short"))
    assert isinstance(weak, Problem) and weak.code == "validation_failed", weak
    assert weak.errors and [fault.field for fault in weak.errors] == ["password"], weak

    verified = verify_email.sync(client=client, body=VerifyEmailIn(token=mailed_token(base, email)))
    assert isinstance(verified, VerifiedOut) and verified.verified, verified

    login = log_in.sync(client=client, body=LoginIn(email=email, password=PASSWORD))
    assert isinstance(login, LoginOut), login
    me = get_me.sync(client=AuthenticatedClient(base_url=base, token=login.tokens.access_token))
    assert isinstance(me, MeOut) and me.email == email and me.accounts[0].role == "owner" and me.phone is UNSET, me

    fresh = refresh_tokens.sync(client=client, body=RefreshIn(refresh_token=login.tokens.refresh_token))
    assert isinstance(fresh, TokensOut), fresh
    signed_in = AuthenticatedClient(base_url=base, token=fresh.access_token)
    renamed = update_me.sync(client=signed_in, body=ProfileIn(name="Ada King", company=None))
    assert isinstance(renamed, MeOut) and renamed.name == "Ada King" and renamed.company is UNSET, renamed

    sessions = list_sessions.sync(client=signed_in)
    assert isinstance(sessions, SessionsOut) and [session.current for session in sessions.items] == [True], sessions

    gone = log_out.sync_detailed(client=signed_in)
    assert gone.status_code == 204, gone
    over = get_me.sync(client=signed_in)
    assert isinstance(over, Problem) and (over.code, over.reason) == ("session_ended", "logged_out"), over
    print("python: the flow passed")


main(*sys.argv[1:])
