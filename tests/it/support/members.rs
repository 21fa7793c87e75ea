//! What tests of members and invitations share.

use serde_json::{Value, json};

use super::{Client, PASSWORD, Reply, TestApp, User};

/// Where an account's members are.
pub fn members_of(account: &str) -> String {
    format!("/api/v1/accounts/{account}/members")
}

/// Where an account's invitations are.
pub fn invitations_of(account: &str) -> String {
    format!("/api/v1/accounts/{account}/invitations")
}

impl Client<'_> {
    pub async fn invite(&self, account: &str, email: &str, role: &str) -> Reply {
        self.post(&invitations_of(account), &json!({ "email": email, "role": role })).await
    }

    pub async fn set_role(&self, account: &str, user: &str, role: &str) -> Reply {
        self.patch(&format!("{}/{user}", members_of(account)), &json!({ "role": role })).await
    }

    pub async fn remove_member(&self, account: &str, user: &str) -> Reply {
        self.delete(&format!("{}/{user}", members_of(account))).await
    }

    pub async fn accept(&self, token: &str) -> Reply {
        self.post("/api/v1/invitations/accept", &json!({ "token": token })).await
    }

    pub async fn join(&self, token: &str, password: &str) -> Reply {
        self.post("/api/v1/invitations/sign-up", &json!({ "token": token, "name": "New Person", "password": password })).await
    }

    /// The roles of an account's members by their addresses.
    pub async fn roles(&self, account: &str) -> Vec<(String, String)> {
        let list = self.get(&format!("{}?limit=200", members_of(account))).await.assert(200).json();
        let text = |item: &Value, name: &str| item[name].as_str().expect("text").to_owned();
        let mut roles: Vec<_> = list["items"].as_array().expect("items").iter().map(|item| (text(item, "email"), text(item, "role"))).collect();
        roles.sort();
        roles
    }
}

impl TestApp {
    /// Invites as `access` and answers the mailed token.
    pub async fn invited(&self, access: &str, account: &str, email: &str, role: &str) -> String {
        self.anonymous().bearer(access).invite(account, email, role).await.assert(201);
        self.run_jobs().await;
        self.last_mail(email).await.token()
    }

    /// Somebody new who joined by an invitation of `access`: without an account of their own.
    pub async fn joined(&self, access: &str, account: &str, email: &str, role: &str) -> User {
        let token = self.invited(access, account, email, role).await;
        self.anonymous().join(&token, PASSWORD).await.assert(201);
        self.anonymous().log_in(email, PASSWORD).await.user("localhost", email)
    }
}
