"""Two people whose tokens schemathesis uses in turn, and the checks that neither ever sees or touches what is the other's.

In turns a request goes out as it was made up, with ids of the person's own things in its path, so that it gets past the first
look-up, and with the other's ids there, as somebody would send them who has read them over a shoulder.

Operations under test sign people out, change their passwords and may erase them, so a token is proved before it is used and
a person who can't sign in any more is replaced by a new one.
"""

import atexit
import itertools
import os
import re
import sys
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
        self.own: dict[str, str] = {}
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
        self.own = {"session": reply.json()["session"]["id"], "member": reply.json()["user"]["id"]}
        self.make_things()
        self.marks |= {self.email, *self.own.values()}

    def make_things(self) -> None:
        """An account with a key and an invitation, whatever became of the ones before."""
        accounts = requests.get(f"{API}/me", headers=self.headers()).json()["accounts"]
        if not accounts:
            return
        self.own["account"] = accounts[0]["id"]
        account = f"{API}/accounts/{self.own['account']}"
        # Where the plan allows no more of them, there are some to be had.
        for kind, path, body in (
            ("key", "api-keys", {"name": "conformance", "scopes": []}),
            ("invitation", "invitations", {"email": f"guest-{next(numbers)}@conformance.example", "role": "member"}),
        ):
            made = requests.post(f"{account}/{path}", json=body, headers=self.headers())
            if made.ok:
                self.own[kind] = made.json()["id"]


ada, eve = Person(), Person()
turns = itertools.cycle([ada, eve])


# What a placeholder of a path names, by the path up to it.
KINDS = {
    "/accounts/{id}": "account",
    "/accounts/{id}/api-keys/{key_id}": "key",
    "/accounts/{id}/invitations/{invitation_id}": "invitation",
    "/accounts/{id}/members/{user_id}": "member",
    "/me/sessions/{id}": "session",
}
ways = itertools.cycle(["made up", "own", "foreign", "own", "half foreign"])
# Cases that went out with somebody else's ids, and how many came back.
trespasses: set[str] = set()
refused = 0


def placeholders(path: str) -> list[tuple[str, str]]:
    """Name and kind of each placeholder that names a person's thing."""
    found = ((match.group(1), KINDS.get(path[: match.end()].removeprefix("/api/v1"))) for match in re.finditer(r"{(\w+)}", path))
    return [(name, kind) for name, kind in found if kind]


@schemathesis.auth(refresh_interval=None)
class Turns:
    def get(self, case, context):
        person = next(turns)
        person.sign_in()
        return person

    def set(self, case, person, context):
        case.headers = case.headers or {}
        case.headers.update(person.headers())
        other = eve if person is ada else ada
        places = placeholders(case.operation.path)
        way = next(ways)
        if way == "made up" or not places or not case.path_parameters:
            return
        foreign = set(dict(places)) if way == "foreign" else {places[-1][0]} if way == "half foreign" else set()
        for name, kind in places:
            thing = (other if name in foreign else person).own.get(kind)
            if thing is None:
                return
            case.path_parameters[name] = thing
        if foreign:
            trespasses.add(case.id)


@schemathesis.check
def refuses_trespassers(context, response, case) -> None:
    global refused
    if case.id in trespasses:
        # What is another's is not there (404), unless the request was refused before that was looked at. Plans are set by
        # operators alone, whose account it may be (403).
        before = (400, 401, 405, 408, 413, 415, 422, *([403] if case.operation.path.endswith("/plan") else []))
        assert response.status_code in (404, *before), "somebody else's id was taken, or known"
        refused += response.status_code == 404


@schemathesis.check
def keeps_people_apart(context, response, case) -> None:
    # An address or id that the request itself names may be said again: schemathesis learns some of them from other answers.
    asked = f"{response.request.url} {response.request.body!r}"
    asked_with = response.request.headers.get("Authorization", "")
    for person, other in ((ada, eve), (eve, ada)):
        if asked_with == f"Bearer {person.token}":
            shown = [mark for mark in other.marks if mark in response.text and mark not in asked]
            assert not shown, "one person's answer shows another's address or ids"


@atexit.register
def tell() -> None:
    """A run that never trespassed proves nothing."""
    print(f"sent with somebody else's ids: {len(trespasses)} requests, of which {refused} were told that there is nothing there")
    if os.environ.get("CONFORMANCE_SECONDS") is None and refused < 20:
        print("too few of them: the ids are not found any more")
        sys.stdout.flush()
        os._exit(1)
