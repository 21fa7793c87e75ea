//! Realmgate: identity for multi-tenant SaaS, in one binary.
//!
//! The code stands in rings. A module knows the rings inside its own and nothing further out; `tests/it/architecture.rs`
//! holds that.
//!
//! [`domain`] is the innermost: the words of the product (account, realm, user, session, token) as plain values, and the
//! rules that need no I/O: what an e-mail address is, which password is good enough, why a session ends. Time and chance
//! are traits here ([`domain::clock`]), so that everything outside can be driven by a test.
//!
//! [`config`] reads the settings once, from flags, environment, file and embedded defaults, and says which of them can't
//! go together. Everything after it takes values.
//!
//! [`store`] is the only place with queries: one file a group of tables, plain functions that take the connection first
//! and their scope second. Races are settled there by single guarded statements ([`store::primitive`]); write
//! transactions are immediate on SQLite and repeated on a conflict.
//!
//! [`crypto`] hashes passwords a few at a time, seals secrets under the master key, signs and proves access tokens.
//!
//! [`limiter`] counts units against limits, exactly for any span of a minute, in this process or in Redis for all nodes;
//! [`service::limits`] knows whose limit is what.
//!
//! [`mail`] puts messages into words from templates and hands them to an SMTP server, with a verdict on what to do if it
//! refuses. What mails and pages say stands in one catalogue a language, see [`domain::words`].
//!
//! [`app`] is what a running node has at hand, built once from all of the above; [`app::cache`] is its memory: hints that
//! spare the hot path its database reads, never promises; [`app::meters`] counts what it does, for `/metrics`.
//!
//! [`service`] holds the use cases: one function each, one transaction each, the authorisation first. What leaves the
//! process is written down as a job in the same transaction, holding ids only; [`service::jobs`] runs it later, at least
//! once. [`service::authentication`] is the bearer check; [`service::change_feed`] carries revocations between nodes.
//! [`service::api_keys`] makes and ends an account's keys, spelt as [`domain::api_key`] says. [`service::credentials`] knows
//! every kind of credential, and [`service::verify`] tells others what one is worth. [`service::members`] and
//! [`service::invitations`] say who belongs to an account, [`service::joining`] takes invitations up; what a plan caps is written
//! by one guarded insert, see `store::plan_caps`.
//! `service::guesses` is the one throttle of every place that asks for a password, with [`service::devices`] to tell a
//! person's own devices from a stranger's and [`service::sign_in_link`] as the way in during a siege. [`service::signing`]
//! and [`service::master_keys`] let keys follow each other while nodes run.
//!
//! [`service::mfa`] keeps a sign-in waiting for its second half, [`service::totp`] and [`service::passkeys`] are what that is made
//! of, `service::proofs` judges both for it and for [`service::step_up`]; [`service::factors`] answers every door whether one
//! proof is enough.
//!
//! A person's life there: [`service::email_change`] with its way back, [`service::erase`], which leaves an id in the audit
//! trail and nothing else, and [`service::export`]. `service::notices` owes word by mail of sign-ins from elsewhere and of
//! sessions that had to make room.
//!
//! [`http`] translates between protocols and use cases: the native dialect, pages, development pages and operations, each
//! an adapter of its own around one edge that knows body limits, problems, headers and the access log. A browser at the
//! pages has a session like any other, which a cookie carries instead of tokens ([`service::page_session`]).
//!
//! [`worker`] runs what a node does beside answering: jobs, the change feed, stamps of use, sweeping.
//!
//! [`telemetry`] starts the log. [`cli`] is the command line, and `main` calls it.
//!
//! # A login, step by step
//!
//! `http::native::auth` decodes the body and asks [`service::login::with_password`]. It reads user and hash, counts the
//! guess (`service::guesses`, which may say that it is not to be looked at), compares in the password pool (a stranger's
//! address costs the same hash), and in one transaction holds the user's row, takes the count back, writes the
//! session, ends the oldest over the realm's cap, leaves word of that for other nodes, owes notices where they are
//! due and writes an audit line. After the commit it tells the caches and signs the access token. Whoever has a second factor
//! gets no session there but a token for the other half, see `service::login::admit`.

pub mod app;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod http;
pub mod limiter;
pub mod mail;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod worker;
