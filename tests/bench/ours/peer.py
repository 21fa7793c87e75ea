"""Realmgate as one of the peers that a common driver starts, loads with wrk and compares; see `bench.py` of those peers.

The driver imports this file and calls both functions. REALMGATE names the program; `PG_SH` the script that makes databases.
Its own defaults, password hash included; only limits are raised, as with every peer. A refresh token is good once, so that wrk,
which sends the same bytes over and over, can't measure refreshes: `cargo bench --bench ratios` does.
"""

import os
import re
import shutil
import subprocess
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = int(os.environ.get("PORT_OURS", "41807"))
PASSWORD = "teal-Harbour-lantern-4817"
MANY = "1000000000"


def start(work, store):  # pg, sqlite
    data = os.path.join(work, "data")
    shutil.rmtree(data, ignore_errors=True)
    os.makedirs(work, exist_ok=True)
    env = {"REALMGATE_LISTEN": f"127.0.0.1:{PORT}", "REALMGATE_DATA_DIR": data}
    env |= {f"REALMGATE_LIMIT_{limit}": MANY for limit in ("ADDRESS", "SIGN_IN", "SIGN_UP", "MAIL", "MAILED_TOKEN")}
    if store == "pg":
        pg = os.environ.get("PG_SH", os.path.join(HERE, "..", "common", "pg.sh"))
        subprocess.run([pg, "fresh", "realmgate"], check=True)
        env["REALMGATE_DATABASE_URL"] = subprocess.check_output([pg, "url", "realmgate"], text=True).strip()
    program = os.environ["REALMGATE"]
    subprocess.run([program, "plan", "set", "free", "--requests-per-minute", MANY], env={**os.environ, **env}, cwd=work, check=True, stdout=subprocess.DEVNULL)
    return dict(cmd=[program], env=env, cwd=work, base=f"http://127.0.0.1:{PORT}", health="/healthz/ready")


def prepare(http, base):
    js = {"content-type": "application/json"}
    mail = f"u{uuid.uuid4().hex[:10]}@example.com"

    def call(wanted, method, path, body=None, headers=None):
        status, _, reply, _ = http(base, method, path, body, headers)
        assert status == wanted, (path, status, reply)
        return reply

    call(202, "POST", "/api/v1/auth/signup", dict(name="Peer", email=mail, password=PASSWORD))
    for _ in range(100):
        if found := re.search(r"verify-email\?token=([\w-]+)", str(call(200, "GET", f"/dev/mailbox/messages?to={mail}"))):
            break
        time.sleep(0.1)
    call(200, "POST", "/api/v1/auth/verify-email", dict(token=found.group(1)))
    token = call(200, "POST", "/api/v1/auth/login", dict(email=mail, password=PASSWORD))["tokens"]["accessToken"]
    bearer = {"authorization": f"Bearer {token}"}
    account = call(200, "GET", "/api/v1/me", headers=bearer)["accounts"][0]["id"]
    key = call(201, "POST", f"/api/v1/accounts/{account}/api-keys", dict(name="peer", scopes=["credentials:verify"]), bearer)["key"]
    return {
        "me_jwt": dict(path="/api/v1/me", headers=bearer),  # an access token of 15 minutes, its session looked at, then the profile
        "api_key": dict(method="POST", path="/api/v1/verify", headers={**js, "authorization": f"Bearer {key}"}, body=dict(credential=key)),
        "login": dict(method="POST", path="/api/v1/auth/login", headers=js, body=dict(email=mail, password=PASSWORD)),
        "signup": dict(method="POST", path="/api/v1/auth/signup", headers=js, body=dict(name="Peer", email="{n}@example.com", password=PASSWORD)),
    }
