//! A person's way through the generated Rust client against a running service: realmgate-sdk-check BASE_URL EMAIL
#![deny(warnings)]

use std::{error::Error, time::Duration};

mod client {
    progenitor::generate_api!(spec = "../../../openapi/native-rust.json", interface = Builder);
}

use client::{Client, types};
use progenitor::progenitor_client::{Error as Failure, ResponseValue};

const PASSWORD: &str = "violet otter harbour";

/// A client that sends this access token.
fn signed_in(base: &str, token: &str) -> Result<Client, Box<dyn Error>> {
    let bearer = reqwest::header::HeaderValue::try_from(format!("Bearer {token}"))?;
    let headers = reqwest::header::HeaderMap::from_iter([(reqwest::header::AUTHORIZATION, bearer)]);
    Ok(Client::new_with_client(base, reqwest::Client::builder().default_headers(headers).build()?))
}

/// The token of the mailed link; mails are sent beside the request that caused them.
async fn mailed_token(base: &str, email: &str) -> Result<String, Box<dyn Error>> {
    for _ in 0..50 {
        let text = reqwest::get(format!("{base}/dev/mailbox/messages?to={email}")).await?.text().await?;
        if let Some((_, rest)) = text.split_once("verify-email?token=") {
            return Ok(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err("no mail came".into())
}

/// The problem that an operation was answered with.
fn problem<T>(reply: Result<ResponseValue<T>, Failure<types::Problem>>) -> Result<types::Problem, Box<dyn Error>> {
    match reply {
        Err(Failure::ErrorResponse(problem)) => Ok(problem.into_inner()),
        Err(error) => Err(error.into()),
        Ok(_) => Err("this should have failed".into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (base, email) = arguments.next().zip(arguments.next()).ok_or("usage: BASE_URL EMAIL")?;
    let stranger = Client::new(&base);

    let sign_up = |password: &str| types::SignUpIn::builder().name("Ada Lovelace").email(email.as_str()).password(password);
    let signed_up = stranger.sign_up().body(sign_up(PASSWORD)).send().await?;
    assert_eq!((signed_up.status().as_u16(), &signed_up.user.email), (202, &email));

    let weak = problem(stranger.sign_up().body(sign_up("short")).send().await)?;
    let fields: Vec<_> = weak.errors.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!((weak.code.as_str(), &fields[..]), ("validation_failed", &["password"][..]));

    let token: types::VerifyEmailInToken = mailed_token(&base, &email).await?.parse()?;
    let verified = stranger.verify_email().body(types::VerifyEmailIn::builder().token(token)).send().await?;
    assert!(verified.verified);

    let login = stranger.log_in().body(types::LoginIn::builder().email(email.as_str()).password(PASSWORD)).send().await?;
    let me = signed_in(&base, &login.tokens.access_token)?.get_me().send().await?;
    assert_eq!((&me.email, me.accounts[0].role.as_str(), &me.phone), (&email, "owner", &None));

    let fresh = stranger.refresh_tokens().body(types::RefreshIn::builder().refresh_token(login.tokens.refresh_token.as_str())).send().await?;
    let ada = signed_in(&base, &fresh.access_token)?;
    let name: types::ProfileInName = "Ada King".parse()?;
    let renamed = ada.update_me().body(types::ProfileIn::builder().name(name)).send().await?;
    assert_eq!(renamed.name, "Ada King");

    let sessions = ada.list_sessions().send().await?;
    assert_eq!(sessions.items.iter().map(|session| session.current).collect::<Vec<_>>(), [true]);

    let gone = ada.log_out().body(types::LogoutIn::builder()).send().await?;
    assert_eq!(gone.status().as_u16(), 204);
    let over = problem(ada.get_me().send().await)?;
    assert_eq!((over.code.as_str(), over.reason.as_deref()), ("session_ended", Some("logged_out")));
    println!("rust: the flow passed");
    Ok(())
}
