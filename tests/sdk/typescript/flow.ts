// A person's way through the generated TypeScript client against a running service: node flow.js BASE_URL EMAIL
import { strict as assert } from "node:assert";
import { setTimeout as sleep } from "node:timers/promises";

import * as api from "./client";
import { createClient, createConfig } from "./client/client";

const [base = "", email = ""] = process.argv.slice(2);
const password = "violet otter harbour";
const client = createClient(createConfig({ baseUrl: base }));

/** A client that sends this access token. */
const as = (token: string) => createClient(createConfig({ baseUrl: base, auth: token }));

/** The token of the newest mailed link; mails are sent beside the request that caused them. */
async function mailedToken(): Promise<string> {
    for (let tries = 0; tries < 50; tries++) {
        const reply = await fetch(`${base}/dev/mailbox/messages?to=${encodeURIComponent(email)}`);
        const token = /verify-email\?token=([\w-]+)/.exec(await reply.text())?.[1];
        if (token !== undefined) return token;
        await sleep(200);
    }
    throw new Error("no mail came");
}

async function main(): Promise<void> {
    const signedUp = await api.signUp({ client, body: { name: "Ada Lovelace", email, password, company: "Analytical Engines" } });
    assert.equal(signedUp.response?.status, 202);
    assert.equal(signedUp.data?.user.email, email);

    const weak = await api.signUp({ client, body: { name: "Ada", email, password: "short" } });
    assert.equal(weak.error?.code, "validation_failed");
    assert.deepEqual(weak.error.errors?.map((fault) => fault.field), ["password"]);

    const verified = await api.verifyEmail({ client, body: { token: await mailedToken() }, throwOnError: true });
    assert.equal(verified.data.verified, true);

    const login = await api.logIn({ client, body: { email, password }, throwOnError: true });
    const me = await api.getMe({ client: as(login.data.tokens.accessToken), throwOnError: true });
    assert.deepEqual([me.data.email, me.data.accounts[0]?.role, me.data.phone], [email, "owner", undefined]);

    const fresh = await api.refreshTokens({ client, body: { refreshToken: login.data.tokens.refreshToken }, throwOnError: true });
    const signedIn = as(fresh.data.accessToken);
    const renamed = await api.updateMe({ client: signedIn, body: { name: "Ada King", company: null }, throwOnError: true });
    assert.deepEqual([renamed.data.name, renamed.data.company], ["Ada King", undefined]);

    const sessions = await api.listSessions({ client: signedIn, throwOnError: true });
    assert.deepEqual(sessions.data.items.map((session) => session.current), [true]);

    const gone = await api.logOut({ client: signedIn });
    assert.equal(gone.response?.status, 204);
    const over = await api.getMe({ client: signedIn });
    assert.deepEqual([over.error?.code, over.error?.reason], ["session_ended", "logged_out"]);
}

main().then(
    () => console.log("typescript: the flow passed"),
    (error: unknown) => {
        console.error(error);
        process.exitCode = 1;
    },
);
