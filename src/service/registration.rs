//! Signing up. A stranger learns nothing about who is here already: new and taken addresses cost the same work and
//! get the same answer, and the owner of a taken address is told by mail.

use secrecy::SecretString;

use super::{Ctx, Faults, limits, one_time};
use crate::{
    app::App,
    crypto::hash::sha256_hex,
    domain::{
        Error, Result,
        account::{Account, AccountStatus, DEFAULT_PLAN},
        email::Email,
        event::Action,
        id::{AccountId, EventId, OneTimeTokenId, RealmId, UserId},
        job::Job,
        limit::Rule,
        password::NewPassword,
        realm::Realm,
        text,
        token::Purpose,
        user::Role,
    },
    store::{self, Connection, users::NewUser, write_tx},
};

/// What a person fills in.
#[derive(Debug)]
pub struct SignUp {
    pub name: String,
    pub email: String,
    pub password: SecretString,
    pub company: Option<String>,
    pub country: Option<String>,
    pub phone: Option<String>,
}

/// What they get back: what they said, in its stored form.
#[derive(Clone, Debug)]
pub struct SignedUp {
    pub name: String,
    pub email: Email,
}

/// A sign-up whose every field is acceptable.
pub(super) struct Checked {
    pub(super) name: String,
    pub(super) email: Email,
    pub(super) password: NewPassword,
    company: Option<String>,
    country: Option<String>,
    phone: Option<String>,
}

/// Registers a person in the caller's realm and mails a verification link and code. In the root realm they also get an
/// account of their own on plan `free`.
///
/// # Errors
/// [`Error::NotPermitted`] where sign-up is off, [`Error::Invalid`] naming each bad field, [`Error::RateLimited`], [`Error::Busy`]
/// under load.
pub async fn sign_up(app: &App, ctx: &Ctx, input: SignUp) -> Result<SignedUp> {
    limits::stranger(app, ctx, Rule::SignUp).await?;
    if !ctx.realm.settings.sign_up {
        return Err(Error::NotPermitted);
    }
    let checked = check(&ctx.realm, input)?;
    let hash = app.passwords.hash(checked.password.secret(), app.entropy.as_ref()).await?;
    let now = app.clock.now();
    let user = NewUser {
        id: UserId::new(now, app.entropy.as_ref()),
        email: checked.email.clone(),
        name: checked.name.clone(),
        company: checked.company.clone(),
        country: checked.country.clone(),
        phone: checked.phone.clone(),
        email_verified_at: None,
    };
    let realm = &ctx.realm;
    write_tx!(&app.db, |tx| {
        if store::users::insert_if_absent(tx, realm.id, &user, now).await? {
            store::credentials::put_password(tx, realm.id, user.id, app.entropy.as_ref(), &hash, now).await?;
            if realm.id == app.root()?.realm {
                give_account(app, tx, realm, &user).await?;
            }
            if may_mail(tx, realm.id, &user.email, now).await? {
                owe_verification(app, tx, ctx, user.id, &user.email, None).await?;
            }
            store::audit::insert(tx, EventId::new(now, app.entropy.as_ref()), &ctx.event(Action::UserSignedUp, Some(user.id)), now).await?;
        } else if may_mail(tx, realm.id, &user.email, now).await?
            && let Some(owner) = store::users::find_by_email(tx, realm.id, &user.email).await?
        {
            if owner.email_verified_at.is_some() {
                let job = Job::SendAccountExists { realm_id: realm.id, user_id: owner.id };
                ctx.owe(app, tx, &job, now).await?;
            } else {
                // Nobody has proved this address yet. Whoever follows this mail's link gets this sign-up's password, so
                // that an earlier sign-up by somebody else is worth nothing to them.
                owe_verification(app, tx, ctx, owner.id, &user.email, Some((&hash, &user.name))).await?;
            }
        }
        Ok(())
    })?;
    app.jobs_due.notify_one();
    Ok(SignedUp { name: checked.name, email: checked.email })
}

/// The verdict on every field at once.
pub(super) fn check(realm: &Realm, input: SignUp) -> Result<Checked> {
    let mut faults = Faults::default();
    let name = faults.take(text::name("name", &input.name))?;
    let email = faults.take(Email::parse("email", &input.email))?;
    let company = faults.take(text::optional_line("company", input.company.as_deref(), 100))?;
    let country = faults.take(text::optional_line("country", input.country.as_deref(), 100))?;
    let phone = faults.take(text::phone("phone", input.phone.as_deref()))?;
    let mut context = vec![realm.name.as_str(), realm.display_name()];
    context.extend(name.as_deref());
    context.extend(email.as_ref().map(Email::as_str));
    let password = faults.take(NewPassword::check("password", input.password, realm.settings.password_min, &context))?;
    faults.settle()?;
    match (name, email, password, company, country, phone) {
        (Some(name), Some(email), Some(password), Some(company), Some(country), Some(phone)) => Ok(Checked { name, email, password, company, country, phone }),
        _ => Err(Error::internal("a field had neither a value nor a fault")),
    }
}

/// At most three mails an hour to one address that strangers can cause, whatever they ask for.
pub(super) async fn may_mail(db: &impl Connection, realm: RealmId, email: &Email, now: chrono::DateTime<chrono::Utc>) -> Result<bool> {
    let key = format!("mail:{}", sha256_hex(email.as_str().as_bytes()));
    let hour = chrono::TimeDelta::hours(1);
    Ok(store::primitive::reserve(db, realm, &key, 3, hour, now).await?.is_reserved())
}

/// Stores a verification token and owes its mail. `pending` is a password hash and a name that take effect with it.
pub(super) async fn owe_verification(app: &App, db: &impl Connection, ctx: &Ctx, user: UserId, email: &Email, pending: Option<(&str, &str)>) -> Result<()> {
    let (realm, now) = (&ctx.realm, app.clock.now());
    let id = OneTimeTokenId::new(now, app.entropy.as_ref());
    let mut token = one_time::mint(app, id, realm, user, Purpose::VerifyEmail, email, now)?;
    token.pending_secret = pending.map(|(hash, _)| hash.to_owned());
    token.pending_name = pending.map(|(_, name)| name.to_owned());
    store::one_time_tokens::kill_others(db, realm.id, user, Some(Purpose::VerifyEmail), Some(id), now).await?;
    store::one_time_tokens::insert_if_absent(db, &token).await?;
    let job = Job::SendVerification { realm_id: realm.id, user_id: user, token_id: id };
    ctx.owe(app, db, &job, now).await
}

/// An account on the first plan, below the root account, that the new user owns.
pub(super) async fn give_account(app: &App, db: &impl Connection, realm: &Realm, user: &NewUser) -> Result<()> {
    let now = app.clock.now();
    let account = Account {
        id: AccountId::new(now, app.entropy.as_ref()),
        parent_id: Some(realm.account_id),
        name: user.company.clone().unwrap_or_else(|| user.name.clone()),
        plan_id: DEFAULT_PLAN.to_owned(),
        status: AccountStatus::Active,
        created_at: now,
    };
    store::accounts::create(db, &account, now).await?;
    store::memberships::create(db, account.id, realm.id, user.id, Role::Owner, now).await
}
