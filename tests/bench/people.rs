//! Users of the measured server, made the way real ones are: sign up, read the mail, follow its link, log in.
//!
//! Uses the public API and the development mailbox alone, so that a change inside the server can't make the figures
//! about something nobody does.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Outcome,
    http::{Connection, get, post},
    server::Stage,
};

/// Fit for every password rule; the same for all, since hashing costs the same for any.
const PASSWORD: &str = "teal-Harbour-lantern-4817";
/// How long a mail may take to come.
const MAIL_LIMIT: Duration = Duration::from_secs(30);
/// How long a limit may hold up the sign-ups, in all.
const PATIENCE: Duration = Duration::from_secs(180);

/// The address of the first who signs up.
pub(crate) const FIRST: &str = "bench-1@example.com";

/// A verified user.
#[derive(Clone)]
pub(crate) struct Person {
    email: String,
    /// Their realm, if it isn't the root realm.
    realm: Option<String>,
}

/// What a login hands out.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Person {
    /// Somebody who was put into the database with everybody's password.
    pub(crate) fn known(email: String, realm: Option<String>) -> Self {
        Self { email, realm }
    }

    /// The bytes of an attempt to log in with another password.
    pub(crate) fn guess(&self, addr: SocketAddr) -> Vec<u8> {
        post(addr, "/api/v1/auth/login", &json!({ "email": self.email, "password": "copper-Meadow-lantern-3390" }))
    }

    /// The bytes of this person's login.
    pub(crate) fn login(&self, addr: SocketAddr) -> Vec<u8> {
        let mut request = post(addr, "/api/v1/auth/login", &json!({ "email": self.email, "password": PASSWORD }));
        if let Some(realm) = &self.realm {
            let line = format!("x-realm: {realm}\r\n");
            // After the request line.
            let at = request.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            request.splice(at..at, line.into_bytes());
        }
        request
    }
}

/// Signs `count` users up at the root realm and verifies their addresses.
pub(crate) fn sign_up(stage: &Stage, count: u32) -> Outcome<Vec<Person>> {
    let addr = stage.server.addr;
    let people: Vec<_> = (1..=count).map(|number| Person::known(format!("bench-{number}@example.com"), None)).collect();
    block_on(async {
        let mut connection = Connection::open(addr).await?;
        // All sign-ups before the first mail is awaited, so that the mails are on their way meanwhile.
        for (number, person) in people.iter().enumerate() {
            let body = json!({ "name": format!("Bench Person {number}"), "email": person.email, "password": PASSWORD });
            send_patiently(&mut connection, &post(addr, "/api/v1/auth/signup", &body), 202, "POST /api/v1/auth/signup").await?;
        }
        for person in &people {
            let token = mailed_token(&mut connection, addr, &person.email).await?;
            let request = post(addr, "/api/v1/auth/verify-email", &json!({ "token": token }));
            send_patiently(&mut connection, &request, 200, "POST /api/v1/auth/verify-email").await?;
        }
        Ok(())
    })
    .map_err(|fault| explained(stage, &fault))?;
    Ok(people)
}

/// Logs each of them in once.
pub(crate) fn log_in(stage: &Stage, people: &[Person]) -> Outcome<Vec<Tokens>> {
    let addr = stage.server.addr;
    block_on(async {
        let mut connection = Connection::open(addr).await?;
        let mut all = Vec::with_capacity(people.len());
        for person in people {
            let reply = connection.exchange(&person.login(addr)).await?.json(200, "POST /api/v1/auth/login")?;
            let token = |name: &str| reply["tokens"][name].as_str().map(str::to_owned).ok_or_else(|| format!("the login's reply has no tokens.{name}"));
            all.push(Tokens { access: token("accessToken")?, refresh: token("refreshToken")? });
        }
        Ok(all)
    })
    .map_err(|fault| explained(stage, &fault))
}

/// The account of a person, whom `token` proves.
pub(crate) fn account_of(stage: &Stage, token: &str) -> Outcome<String> {
    let addr = stage.server.addr;
    block_on(async {
        let mut connection = Connection::open(addr).await?;
        let accounts = connection.exchange(&get(addr, "/api/v1/accounts", Some(token))).await?.json(200, "GET /api/v1/accounts")?;
        Ok(accounts["items"][0]["id"].as_str().ok_or("a person has no account")?.to_owned())
    })
}

/// Makes an API key for the account of each person, whom `tokens` prove.
pub(crate) fn make_keys(stage: &Stage, tokens: &[String]) -> Outcome<Vec<String>> {
    let addr = stage.server.addr;
    block_on(async {
        let mut connection = Connection::open(addr).await?;
        let mut keys = Vec::with_capacity(tokens.len());
        for token in tokens {
            let accounts = connection.exchange(&get(addr, "/api/v1/accounts", Some(token))).await?.json(200, "GET /api/v1/accounts")?;
            let account = accounts["items"][0]["id"].as_str().ok_or("a person has no account")?;
            let path = format!("/api/v1/accounts/{account}/api-keys");
            let request = with_bearer(post(addr, &path, &json!({ "name": "Bench", "scopes": ["chat:read"] })), token);
            let made = connection.exchange(&request).await?.json(201, "POST /api/v1/accounts/…/api-keys")?;
            keys.push(made["key"].as_str().ok_or("the reply shows no key")?.to_owned());
        }
        Ok(keys)
    })
    .map_err(|fault| explained(stage, &fault))
}

/// The same request with a credential.
fn with_bearer(request: Vec<u8>, token: &str) -> Vec<u8> {
    let line_end = request.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (line, rest) = request.split_at(line_end);
    [line, format!("authorization: Bearer {token}\r\n").as_bytes(), rest].concat()
}

/// A fault with the end of the server's log, which usually knows more.
fn explained(stage: &Stage, fault: &crate::Fault) -> crate::Fault {
    format!("{fault}\nthe end of the server's log:\n{}", stage.server.child.log_tail()).into()
}

/// Sends a request again for as long as a limit on one address asks for patience.
async fn send_patiently(connection: &mut Connection, request: &[u8], wanted: u16, asked: &str) -> Outcome<Value> {
    let started = Instant::now();
    loop {
        let reply = connection.exchange(request).await?;
        let Some(seconds) = reply.retry_after.filter(|_| matches!(reply.status, 429 | 503)) else {
            return reply.json(wanted, asked);
        };
        let pause = Duration::from_secs(seconds.max(1));
        if started.elapsed() + pause > PATIENCE {
            return Err(format!("{asked} answers {} and wants {seconds} s of patience: its limit is too low for this benchmark", reply.status).into());
        }
        eprintln!("  {asked} is limited, going on in {seconds} s");
        tokio::time::sleep(pause).await;
    }
}

/// The token of the verification link that was mailed to `email`.
async fn mailed_token(connection: &mut Connection, addr: SocketAddr, email: &str) -> Outcome<String> {
    const LINK: &str = "/ui/verify-email?token=";
    let asked = format!("/dev/mailbox/messages?to={email}");
    let started = Instant::now();
    loop {
        let mails = connection.exchange(&get(addr, &asked, None)).await?.json(200, &format!("GET {asked}"))?;
        let texts = mails["items"].as_array().into_iter().flatten().filter_map(|mail| mail["text"].as_str());
        if let Some(link) = texts.filter_map(|text| text.split_once(LINK)).map(|(_, rest)| rest).next() {
            return Ok(link.chars().take_while(|&c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~')).collect());
        }
        if started.elapsed() > MAIL_LIMIT {
            return Err(format!("no mail with a verification link came for {email} within {MAIL_LIMIT:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs `work` on a runtime of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
