//! Who opens a page, before anything else is known: whoever their browser's session is of, or nobody.

use std::sync::Arc;

use poem::{FromRequest, Request, RequestBody, Result};

use super::cookies::Cookie;
use crate::{
    app::App,
    domain::{Error, language::Language, realm::Realm},
    http::{context, failure::Failure},
    service::{Ctx, SignedIn, page_session, profile},
};

/// Anybody may open a page. The call counts against the account of whoever is signed in, else against the address.
pub(super) struct Guest {
    /// At the realm that the request names, of nobody yet: which realm a page is of, and so whether the person is signed in
    /// there, its link or form says.
    pub(super) ctx: Ctx,
    /// Whoever the session cookie is of, with their realm.
    pub(super) person: Option<(Arc<Realm>, Arc<SignedIn>)>,
    /// What they want to be spoken to in.
    pub(super) wish: Option<Language>,
}

impl<'a> FromRequest<'a> for Guest {
    async fn from_request(req: &'a Request, _: &mut RequestBody) -> Result<Self> {
        guest(req).await.map_err(|error| Failure::from(error).into())
    }
}

async fn guest(req: &Request) -> Result<Guest, Error> {
    let app = req.data::<Arc<App>>().ok_or_else(|| Error::internal("the application is not attached to the request"))?;
    let person = match Cookie::Session.read(app, req.headers()).and_then(|value| value.split_once('.')) {
        Some((token, realm)) => page_session::find(app, realm, token).await?,
        None => None,
    };
    let ctx = context::of_page(req, person.as_ref()).await?;
    let wish = match &person {
        Some((realm, person)) => profile::language(app, realm.id, person.user_id).await?,
        None => None,
    };
    Ok(Guest { ctx, person, wish })
}
