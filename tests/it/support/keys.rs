//! What tests of accounts and their API keys share: an owner with their account, places for further people, keys.

use chrono::DateTime;
use realmgate::{
    domain::{id::AccountId, user::Role},
    service::accounts,
    store,
};
use serde_json::{Value, json};

use super::{Client, PASSWORD, Reply, TestApp, User};

/// A person of the root realm with the account that their sign-up made.
pub struct Owner {
    pub user: User,
    pub email: String,
    pub account: String,
}

/// A key that was made.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub text: String,
}

impl Key {
    /// Of the answer that shows it.
    #[track_caller]
    pub fn of(reply: Reply) -> Self {
        let reply = reply.assert(201);
        Self { id: reply.at("/apiKey/id"), text: reply.at("/key") }
    }
}

/// What most keys of tests are made with.
pub fn plain_key() -> Value {
    json!({ "name": "Nightly import", "scopes": ["chat:read"] })
}

impl TestApp {
    /// Signs up at the root realm and answers the account that it made.
    pub async fn owner(&self, email: &str) -> Owner {
        let user = self.user(email).await;
        let me = self.anonymous().bearer(&user.access).get("/api/v1/me").await.assert(200);
        Owner { user, email: email.to_owned(), account: me.at("/accounts/0/id") }
    }

    /// Makes an account as the operator does, below `parent` or the root account.
    pub async fn account(&self, name: &str, parent: Option<&str>, plan: &str) -> String {
        let parent = parent.map(|id| id.parse().expect("an id"));
        accounts::create(self.app(), &self.operator().await, name, parent, Some(plan)).await.expect("an account").id.to_string()
    }

    pub async fn set_plan(&self, account: &str, plan: &str) {
        accounts::set_plan(self.app(), &self.operator().await, account.parse().expect("an id"), plan).await.expect("a plan");
    }

    /// Gives a user of `realm` a place in an account, as an accepted invitation does.
    pub async fn place(&self, account: &str, realm: &str, user: &str, role: Role) {
        let (account, user): (AccountId, _) = (account.parse().expect("an id"), user.parse().expect("an id"));
        let realm = self.operator_in(realm).await.realm.id;
        let now = self.app().clock.now();
        store::memberships::create(&self.app().db.write, account, realm, user, role, now).await.expect("a place");
        self.app().caches.forget_user(realm, user);
    }

    /// Gives a user of the root realm a place in an account, whatever it was before.
    pub async fn place_anew(&self, account: &str, user: &str, role: Role) {
        let (user_id, account_id) = (self.id_literal(user), self.id_literal(account));
        let delete = format!("DELETE FROM memberships WHERE account_id = {account_id} AND user_id = {user_id}");
        sea_orm::ConnectionTrait::execute_unprepared(&self.app().db.write, &delete).await.expect("no place");
        self.place(account, "localhost", user, role).await;
    }

    /// An id as plain SQL has to spell it.
    pub fn id_literal(&self, id: &str) -> String {
        match sea_orm::ConnectionTrait::get_database_backend(&self.app().db.read) {
            sea_orm::DbBackend::Postgres => format!("'{id}'"),
            _ => format!("x'{}'", id.replace('-', "")),
        }
    }

    /// Signs in again: what a step-up asks for.
    pub async fn again(&self, owner: &Owner) -> User {
        self.anonymous().log_in(&owner.email, PASSWORD).await.user("localhost", &owner.email)
    }

    pub fn now(&self) -> DateTime<chrono::Utc> {
        self.app().clock.now()
    }
}

/// Where an account's keys are.
pub fn keys_of(account: &str) -> String {
    format!("/api/v1/accounts/{account}/api-keys")
}

impl Client<'_> {
    pub async fn make_key(&self, account: &str, body: &Value) -> Reply {
        self.post(&keys_of(account), body).await
    }

    pub async fn key(&self, account: &str, id: &str) -> Reply {
        self.get(&format!("{}/{id}", keys_of(account))).await
    }

    pub async fn rotate_key(&self, account: &str, id: &str, body: &Value) -> Reply {
        self.post(&format!("{}/{id}/rotate", keys_of(account)), body).await
    }
}
