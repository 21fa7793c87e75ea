//! What tests of people's lives share: replies compared to the last byte, the tables as text, a node with other costs.
//! Reads rows with plain SQL, so that a test sees what is stored and not what the product says of it.

use realmgate::{config::Settings, service::users};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use serde_json::{Value, json};

use super::{Client, Node, Reply, TestApp};

/// A second good password.
pub(crate) const OTHER: &str = "another harbour otter";

/// A table, a column that holds text, and what stands in its rows.
pub(crate) struct TextColumn {
    pub(crate) table: String,
    pub(crate) column: String,
    pub(crate) values: Vec<String>,
}

impl TestApp {
    /// The first column of a query over text or numbers, as text; `NULL` is empty.
    pub(crate) async fn sql(&self, query: &str) -> Vec<String> {
        let db = &self.app().db.read;
        let query = format!("SELECT COALESCE(CAST(v AS TEXT), '') AS v FROM ({query}) AS q");
        let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), query)).await.expect("rows");
        rows.iter().map(|row| row.try_get::<String>("", "v").expect("text")).collect()
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &str) -> usize {
        self.sql(&format!("SELECT COUNT(*) AS v FROM {table}")).await[0].parse().expect("a number")
    }

    /// The columns of a table.
    pub(crate) async fn columns(&self, table: &str) -> Vec<String> {
        self.sql(&match self.app().db.read.get_database_backend() {
            DbBackend::Postgres => format!("SELECT column_name AS v FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{table}'"),
            _ => format!("SELECT name AS v FROM pragma_table_info('{table}')"),
        })
        .await
    }

    /// Every column that can hold text, in every table there is.
    pub(crate) async fn text_columns(&self) -> Vec<TextColumn> {
        let postgres = self.app().db.read.get_database_backend() == DbBackend::Postgres;
        let query = if postgres {
            "SELECT table_name || '.' || column_name AS v FROM information_schema.columns
             WHERE table_schema = 'public' AND data_type IN ('text', 'character varying', 'character', 'json', 'jsonb')"
        } else {
            "SELECT m.name || '.' || c.name AS v FROM sqlite_master AS m, pragma_table_info(m.name) AS c
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND lower(c.type) NOT LIKE 'uuid%'
             AND (lower(c.type) LIKE '%char%' OR lower(c.type) LIKE '%text%' OR lower(c.type) LIKE '%json%')"
        };
        let mut found = Vec::new();
        for name in self.sql(query).await {
            let (table, column) = name.split_once('.').expect("two names");
            let values = self.sql(&format!("SELECT \"{column}\" AS v FROM \"{table}\"")).await;
            found.push(TextColumn { table: table.to_owned(), column: column.to_owned(), values });
        }
        found
    }

    /// The stored password hash of an address.
    pub(crate) async fn hash_of(&self, email: &str) -> String {
        let query = format!("SELECT c.secret AS v FROM credentials c JOIN users u ON u.id = c.user_id WHERE u.email = '{email}' AND c.kind = 'password'");
        let mut found = self.sql(&query).await;
        assert_eq!(found.len(), 1, "one password of {email}");
        found.remove(0)
    }

    /// Another node on the same database with other settings.
    pub(crate) async fn join_with(&self, seed: u64, change: impl FnOnce(&mut Settings)) -> Node {
        let mut settings = self.settings.clone();
        change(&mut settings);
        Node::start(&settings, &self.clock, seed).await
    }

    /// Locks a user of the root realm.
    pub(crate) async fn lock(&self, email: &str) {
        users::lock(self.app(), &self.operator().await, email).await.expect("a user to lock");
    }

    /// Signs up at the root realm, takes the mail and leaves the address unproved; answers the mailed token.
    pub(crate) async fn unverified(&self, email: &str) -> String {
        self.anonymous().sign_up(email, super::PASSWORD).await.assert(202);
        self.run_jobs().await;
        self.last_mail(email).await.token()
    }

    /// Asks for a reset mail at the root realm and answers its token.
    pub(crate) async fn reset_token(&self, email: &str) -> String {
        let before = self.mails(email).await.len();
        self.anonymous().forgot(email).await.assert(202);
        self.run_jobs().await;
        assert_eq!(self.mails(email).await.len(), before + 1, "a reset mail to {email}");
        self.last_mail(email).await.token()
    }
}

impl Client<'_> {
    pub(crate) async fn verify(&self, token: &str) -> Reply {
        self.post("/api/v1/auth/verify-email", &json!({ "token": token })).await
    }

    pub(crate) async fn verify_code(&self, email: &str, code: &str) -> Reply {
        self.post("/api/v1/auth/verify-email", &json!({ "email": email, "code": code })).await
    }

    pub(crate) async fn resend(&self, email: &str) -> Reply {
        self.post("/api/v1/auth/verify-email/resend", &json!({ "email": email })).await
    }

    pub(crate) async fn forgot(&self, email: &str) -> Reply {
        self.post("/api/v1/auth/password/forgot", &json!({ "email": email })).await
    }

    pub(crate) async fn reset(&self, token: &str, password: &str) -> Reply {
        self.post("/api/v1/auth/password/reset", &json!({ "token": token, "newPassword": password })).await
    }

    pub(crate) async fn change_password(&self, current: &str, new: &str) -> Reply {
        self.put("/api/v1/me/password", &json!({ "currentPassword": current, "newPassword": new })).await
    }

    pub(crate) async fn me(&self) -> Reply {
        self.get("/api/v1/me").await
    }
}

impl Reply {
    /// Status, headers and body as one text, without what differs from request to request.
    pub(crate) fn fingerprint(&self) -> String {
        let id = self.header("x-request-id");
        let mut headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect();
        // What is left of a limit differs from call to call, whoever asks for what.
        headers.retain(|(name, _)| !["x-request-id", "ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset"].contains(name));
        headers.sort();
        assert!(!id.is_empty(), "every reply names its request");
        format!("{} {headers:?} {}", self.status, self.text().replace(&id, "-"))
    }

    /// Asserts that a stranger can't tell the two replies apart.
    #[track_caller]
    pub(crate) fn assert_like(&self, other: &Self) {
        let names = |reply: &Self| reply.headers.keys().map(ToString::to_string).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(names(self), names(other));
        assert_eq!(self.fingerprint(), other.fingerprint());
    }
}

/// `base` with one member more.
pub(crate) fn with(base: &Value, name: &str, value: Value) -> Value {
    let mut body = base.clone();
    body.as_object_mut().expect("an object").insert(name.to_owned(), value);
    body
}

/// `email_verified_at` as clients would write it.
pub(crate) fn camel(column: &str) -> String {
    let mut parts = column.split('_');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(&part[..1].to_ascii_uppercase());
        text.push_str(&part[1..]);
    }
    text
}

/// Another token of the same form: its last character is changed.
pub(crate) fn tampered(token: &str) -> String {
    let last = if token.ends_with('A') { 'Q' } else { 'A' };
    format!("{}{last}", &token[..token.len() - 1])
}
