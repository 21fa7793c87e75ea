//! One look at one of our pages: which realm, who is signed in, which cookies go back, and how the reply is made.
//!
//! The realm is the one that the link or the form names, else the request's. A person is signed in only at the realm
//! that their cookie is of.

use std::sync::Arc;

use poem::{
    Request, Response, Result,
    http::{StatusCode, header},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    cookies::Cookie,
    csrf::{self, Tie},
    flow::{Done, Flow, Notice},
    guest::Guest,
};
use crate::{
    app::App,
    domain::{
        Error, FieldError,
        device::KNOWN_FOR,
        factor::CHALLENGE_LIFE,
        id::{RealmId, SessionId},
        language::Language,
        realm::Realm,
        return_to::ReturnTo,
        token::OpaqueToken,
    },
    http::{
        failure::Failure,
        html::{self, SharedViews},
        view::{Fault, Link, Page, View},
    },
    service::{Ctx, Principal, login::LoggedInOnPages, realms},
};

/// A look at a page.
pub(super) struct Visit<'a> {
    req: &'a Request,
    pub(super) app: &'a App,
    views: &'a SharedViews,
    /// With the signed-in person as its principal, if there is one at this realm.
    pub(super) ctx: Ctx,
    /// The session that this browser has, at whatever realm.
    pub(super) had: Option<(RealmId, SessionId)>,
    /// What the signed-in person wants to be spoken to in.
    wish: Option<Language>,
    /// Whether links must name the realm, because the address does not tell it.
    named: bool,
    /// `Set-Cookie` values of the reply.
    set: Vec<String>,
}

impl<'a> Visit<'a> {
    /// A page that anybody may look at; `realm` is what its link names.
    pub(super) async fn shown(req: &'a Request, guest: Guest, realm: Option<&str>) -> Result<Self> {
        let realm = match realm.filter(|name| !name.is_empty()) {
            None => Arc::clone(&guest.ctx.realm),
            Some(name) => realms::resolve(app(req)?, Some(name), None).await.map_err(Failure::from)?,
        };
        Self::begin(req, guest, realm)
    }

    /// A page of a signed-in person: where nothing names a realm, their cookie does.
    pub(super) async fn of_person(req: &'a Request, guest: Guest, realm: Option<&str>) -> Result<Self> {
        let app = app(req)?;
        let at_root = app.root().map_err(Failure::from)?.realm == guest.ctx.realm.id;
        let realm = match (realm.filter(|name| !name.is_empty()), &guest.person) {
            (Some(name), _) => realms::resolve(app, Some(name), None).await.map_err(Failure::from)?,
            (None, Some((own, _))) if at_root => Arc::clone(own),
            (None, _) => Arc::clone(&guest.ctx.realm),
        };
        Self::begin(req, guest, realm)
    }

    /// A posted form of ours; the realm is the one that it was shown for.
    pub(super) async fn posted(req: &'a Request, guest: Guest, field: &str, tie: Tie) -> Result<Self> {
        let realm = csrf::realm_of(app(req)?, req.headers(), field, tie).ok_or_else(Failure::cross_site)?;
        Self::shown(req, guest, Some(&realm)).await
    }

    fn begin(req: &'a Request, Guest { ctx, person: signed_in, wish }: Guest, realm: Arc<Realm>) -> Result<Self> {
        let views = req.data::<SharedViews>().ok_or_else(|| Failure::from(Error::internal("the pages are not attached to the request")))?;
        let had = signed_in.as_ref().map(|(realm, person)| (realm.id, person.session_id));
        let person = signed_in.filter(|(own, _)| own.id == realm.id).map(|(_, person)| person);
        let wish = if person.is_some() { wish } else { None };
        let named = realm.id != ctx.realm.id;
        let app = app(req)?;
        let ctx = Ctx { realm, principal: person.map_or(Principal::Anonymous, Principal::User), ..ctx };
        let ctx = ctx.on_device(Cookie::Device.read(app, req.headers()).map(SecretString::from));
        Ok(Self { req, app, views, ctx, had, wish, named, set: Vec::new() })
    }

    /// Whether somebody is signed in here.
    pub(super) fn is_signed_in(&self) -> bool {
        matches!(self.ctx.principal, Principal::User(_))
    }

    /// The realm as people call it.
    pub(super) fn realm_name(&self) -> String {
        self.ctx.realm.display_name().to_owned()
    }

    /// The address of a page of ours, for this realm.
    pub(super) fn href(&self, path: &str) -> String {
        let base = self.view().base();
        if self.named { format!("{base}{path}?realm={}", self.ctx.realm.name) } else { format!("{base}{path}") }
    }

    /// The same, which leads on to `place` once the person is signed in.
    pub(super) fn href_with(&self, path: &str, place: Option<&ReturnTo>) -> String {
        let href = self.href(path);
        let Some(place) = place else { return href };
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", place.href()).finish();
        format!("{href}{}{query}", if self.named { '&' } else { '?' })
    }

    /// The place that a link or form names, if this realm allows it.
    pub(super) fn place(&self, text: Option<&str>) -> Option<ReturnTo> {
        text.and_then(|text| ReturnTo::parse(&self.ctx.realm, text))
    }

    /// The hidden field of a form that is shown now.
    pub(super) fn form(&mut self, tie: Tie) -> String {
        let token = csrf::token(self.app, self.req, &self.ctx.realm, tie);
        self.set.extend(token.set_cookie);
        token.field
    }

    /// What the page before told this one.
    pub(super) fn flow(&self) -> Flow {
        let value = Cookie::Flow.read(self.app, self.req.headers()).unwrap_or_default();
        Flow::read(self.app, value, &self.ctx.realm.name)
    }

    /// Tells the next page.
    pub(super) fn keep(&mut self, flow: &Flow) {
        self.set.push(flow.cookie(self.app));
    }

    /// The sentence that the page before left for this one; it is shown once.
    pub(super) fn take_notice(&mut self) -> Option<String> {
        let mut flow = self.flow();
        let notice = flow.notice.take()?;
        self.keep(&flow);
        Some(self.say(notice.key()))
    }

    /// Leaves a sentence for the next page.
    pub(super) fn leave_notice(&mut self, notice: Notice) {
        let flow = Flow { notice: Some(notice), ..self.flow() };
        self.keep(&flow);
    }

    /// Leads on to the page that says what was done.
    pub(super) fn done(mut self, done: Done) -> Response {
        let flow = Flow { done: Some(done), ..self.flow() };
        self.keep(&flow);
        self.go("/ui/done")
    }

    /// The way on from there. Links name the realm where mailed ones do.
    pub(super) fn way_on(&self) -> Link {
        let (label, path) = if self.is_signed_in() { ("page.account.title", "/ui/account") } else { ("page.sign_in.button", "/ui/sign-in") };
        Link { label: self.say(label), href: self.href(path) }
    }

    /// Makes the browser keep that it is a known device.
    pub(super) fn know(&mut self, device: &OpaqueToken) {
        self.set.push(Cookie::Device.set(self.app, &device.reveal(), Some(KNOWN_FOR)));
    }

    /// Hands the cookies of a new session to the browser.
    pub(super) fn sign_in(&mut self, entered: &LoggedInOnPages) {
        let value = format!("{}.{}", entered.cookie.reveal(), self.ctx.realm.name);
        let life = entered.session.expires_at - entered.session.created_at;
        self.set.push(Cookie::Session.set(self.app, &value, Some(life)));
        self.know(&entered.device);
    }

    /// The token of the sign-in that waits in this browser, if it is of this realm.
    pub(super) fn waiting(&self) -> Option<String> {
        let value = Cookie::Factor.read(self.app, self.req.headers())?;
        let (token, realm) = value.split_once('.')?;
        (realm == self.ctx.realm.name).then(|| token.to_owned())
    }

    /// Makes the browser keep a sign-in that waits for a second factor.
    pub(super) fn keep_waiting(&mut self, token: &SecretString) {
        let value = format!("{}.{}", token.expose_secret(), self.ctx.realm.name);
        self.set.push(Cookie::Factor.set(self.app, &value, Some(CHALLENGE_LIFE)));
    }

    /// Takes the cookie of a sign-in that waited away.
    pub(super) fn forget_waiting(&mut self) {
        self.set.push(Cookie::Factor.clear(self.app));
    }

    /// Takes the session's cookie away.
    pub(super) fn sign_out(&mut self) {
        self.set.push(Cookie::Session.clear(self.app));
    }

    /// What whoever looks is spoken to in: their own wish, else the realm's, else their browser's.
    fn language(&self) -> Language {
        self.wish.unwrap_or_else(|| self.ctx.language())
    }

    /// The pages in the language of whoever looks.
    fn view(&self) -> &View {
        self.views.speak(self.language())
    }

    /// A sentence of the catalogue.
    pub(super) fn say(&self, key: &str) -> String {
        self.view().say(key, &[])
    }

    /// A sentence that is wrong with `field`, whose input has that id; an empty one means the form as a whole.
    pub(super) fn fault(&self, field: &str, key: &str) -> Vec<Fault> {
        vec![Fault { field: field.to_owned(), text: self.say(key) }]
    }

    /// The same for what a use case found.
    pub(super) fn faults(&self, faults: &[FieldError]) -> Vec<Fault> {
        let fields = faults.iter().map(|fault| fault.field.clone());
        fields.zip(self.view().sentences(faults)).map(|(field, text)| Fault { field, text }).collect()
    }

    /// The sentences alone.
    pub(super) fn sentences(&self, faults: &[FieldError]) -> Vec<String> {
        self.view().sentences(faults)
    }

    /// "Wait for so long", where a limit was reached.
    pub(super) fn wait(&self, seconds: u64) -> Vec<Fault> {
        let minutes = seconds.div_ceil(60).max(1).to_string();
        vec![Fault { field: String::new(), text: self.view().say("page.wait", &[("count", &minutes)]) }]
    }

    /// A page as the reply.
    pub(super) fn page(self, status: StatusCode, content: &impl Page) -> Response {
        self.page_to(status, content, None)
    }

    /// A page whose form leads on to a foreign place: the browser must know that beforehand.
    pub(super) fn page_to(self, status: StatusCode, content: &impl Page, place: Option<&ReturnTo>) -> Response {
        let reply = html::leading_to(self.views, self.language(), content, place.and_then(ReturnTo::source));
        self.finish(reply, status)
    }

    /// On to another page of ours, by a GET.
    pub(super) fn go(self, path: &str) -> Response {
        let href = self.href(path);
        self.go_to(&href)
    }

    /// The same, with something to say in the address.
    pub(super) fn go_asking(self, path: &str, pairs: &[(&str, &str)]) -> Response {
        let href = self.href(path);
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let joint = if self.named { '&' } else { '?' };
        self.go_to(&format!("{href}{joint}{query}"))
    }

    /// On to a checked place.
    pub(super) fn go_on(self, place: &ReturnTo) -> Response {
        let href = if place.source().is_some() { place.href().to_owned() } else { format!("{}{}", self.view().base(), place.href()) };
        self.go_to(&href)
    }

    fn go_to(self, href: &str) -> Response {
        let reply = Response::builder().header(header::LOCATION, href).header(header::CACHE_CONTROL, "no-store").finish();
        self.finish(reply, StatusCode::SEE_OTHER)
    }

    fn finish(self, mut reply: Response, status: StatusCode) -> Response {
        reply.set_status(status);
        for value in self.set.iter().filter_map(|cookie| cookie.parse().ok()) {
            reply.headers_mut().append(header::SET_COOKIE, value);
        }
        reply
    }
}

fn app(req: &Request) -> Result<&App> {
    let app = req.data::<Arc<App>>().ok_or_else(|| Failure::from(Error::internal("the application is not attached to the request")))?;
    Ok(app)
}
