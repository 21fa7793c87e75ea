"""Two people whose tokens schemathesis uses in turn, and the check that neither ever sees the other.

Operations under test sign people out, change their passwords and may erase them, so a token is proved before it is used and
a person who can't sign in any more is replaced by a new one.
"""

import itertools
import os
import re
import time

import requests
import schemathesis

BASE = os.environ["CONFORMANCE_URL"]
API = f"{BASE}/api/v1"
PASSWORD = "violet otter harbour"
numbers = itertools.count(1)


class Person:
    def __init__(self) -> None:
        self.token = ""
        self.marks: set[str] = set()
        self.sign_up()

    def sign_up(self) -> None:
        self.email = f"person-{next(numbers)}@conformance.example"
        requests.post(f"{API}/auth/signup", json={"name": "Conformance", "email": self.email, "password": PASSWORD}).raise_for_status()
        for _ in range(100):
            mails = requests.get(f"{BASE}/dev/mailbox/messages", params={"to": self.email}).text
            if link := re.search(r"verify-email\?token=([\w-]+)", mails):
                break
            time.sleep(0.1)
        else:
            raise RuntimeError("no mail came")
        requests.post(f"{API}/auth/verify-email", json={"token": link.group(1)}).raise_for_status()

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def sign_in(self) -> None:
        """Makes the token a good one."""
        if self.token and requests.get(f"{API}/auth/token", headers=self.headers()).ok:
            return
        reply = requests.post(f"{API}/auth/login", json={"email": self.email, "password": PASSWORD})
        if not reply.ok:
            self.sign_up()
            reply = requests.post(f"{API}/auth/login", json={"email": self.email, "password": PASSWORD})
        reply.raise_for_status()
        self.token = reply.json()["tokens"]["accessToken"]
        self.marks |= {self.email, reply.json()["user"]["id"], reply.json()["session"]["id"]}


ada, eve = Person(), Person()
turns = itertools.cycle([ada, eve])


@schemathesis.auth(refresh_interval=None)
class Turns:
    def get(self, case, context):
        person = next(turns)
        person.sign_in()
        return person

    def set(self, case, person, context):
        case.headers = case.headers or {}
        case.headers.update(person.headers())


@schemathesis.check
def keeps_people_apart(context, response, case) -> None:
    # An address or id that the request itself names may be said again: schemathesis learns some of them from other answers.
    asked = f"{response.request.url} {response.request.body!r}"
    asked_with = response.request.headers.get("Authorization", "")
    for person, other in ((ada, eve), (eve, ada)):
        if asked_with == f"Bearer {person.token}":
            shown = [mark for mark in other.marks if mark in response.text and mark not in asked]
            assert not shown, "one person's answer shows another's address or ids"
