//! Protocols: each translates between HTTP and the services, and decides nothing.

mod access_log;
mod client;
mod client_io;
mod context;
mod converse;
mod dev;
mod dialect;
mod dispatch;
mod docs;
mod edge;
mod failure;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod html;
mod json_object;
mod limit_headers;
mod listener;
mod metrics;
mod native;
mod ops;
mod payload;
mod problem;
mod request_id;
mod route;
mod secret_text;
mod shape;
mod spans;
mod spec;
mod traceparent;
mod ui;
mod view;
mod well_known;

use std::{collections::HashMap, sync::Arc};

use poem::{Endpoint, EndpointExt as _, Response, Route};
use poem_openapi::OpenApi;

pub use access_log::AccessLog;
pub use listener::serve;
pub use metrics::metrics_endpoint;
pub use spans::Spans;

use crate::{
    app::App,
    config::Profile,
    service::{Ctx, export::Export},
};

/// Methods of the routes that stand in no OpenAPI document.
const PLAIN_ROUTES: [(&str, &[&str]); 60] = [
    ("/.well-known/change-password", &["GET"]),
    ("/.well-known/security.txt", &["GET"]),
    ("/healthz/live", &["GET"]),
    ("/healthz/ready", &["GET"]),
    ("/realms/{realm}/.well-known/jwks.json", &["GET"]),
    ("/realms/{realm}/.well-known/openid-configuration", &["GET"]),
    ("/metrics", &["GET"]),
    ("/openapi/native.json", &["GET"]),
    ("/openapi/native-3.0.json", &["GET"]),
    ("/openapi/native-rust.json", &["GET"]),
    ("/openapi/converse.json", &["GET"]),
    ("/docs", &["GET"]),
    ("/ui/style.css", &["GET"]),
    ("/ui/verify-email", &["GET", "POST"]),
    ("/ui/verify-email/resend", &["POST"]),
    ("/ui/reset-password", &["GET", "POST"]),
    ("/ui/forgot-password", &["GET", "POST"]),
    ("/ui/unlock-sign-in", &["GET", "POST"]),
    ("/ui/change-email", &["GET", "POST"]),
    ("/ui/undo-email-change", &["GET", "POST"]),
    ("/ui/setup", &["GET", "POST"]),
    ("/ui/done", &["GET"]),
    ("/ui/sign-in", &["GET", "POST"]),
    ("/ui/sign-out", &["GET", "POST"]),
    ("/ui/sign-up", &["GET", "POST"]),
    ("/ui/verify-email/code", &["GET", "POST"]),
    ("/ui/verify-email/code/resend", &["POST"]),
    ("/ui/account", &["GET"]),
    ("/ui/account/profile", &["POST"]),
    ("/ui/account/email", &["POST"]),
    ("/ui/account/password", &["POST"]),
    ("/ui/account/sessions/end", &["POST"]),
    ("/ui/account/sessions/end-all", &["POST"]),
    ("/ui/account/members/role", &["POST"]),
    ("/ui/account/members/remove", &["POST"]),
    ("/ui/account/export", &["POST"]),
    ("/ui/account/erase", &["GET", "POST"]),
    ("/ui/invitation", &["GET", "POST"]),
    ("/ui/invitation/accept", &["POST"]),
    // Whatever method the request has that a proxy asks about.
    ("/gateway/nginx", &["GET"]),
    ("/gateway/traefik", &["GET"]),
    ("/gateway/envoy/{scopes}", &["GET"]),
    ("/gateway/envoy/{scopes}/{rest}", &["GET"]),
    ("/ui/passkey.js", &["GET"]),
    ("/ui/account/totp", &["GET", "POST"]),
    ("/ui/account/totp/remove", &["POST"]),
    ("/ui/account/recovery-codes", &["POST"]),
    ("/ui/account/passkeys", &["POST"]),
    ("/ui/account/passkeys/new", &["GET"]),
    ("/ui/account/passkeys/remove", &["POST"]),
    ("/ui/account/trusted-devices/end", &["POST"]),
    ("/ui/step-up", &["GET", "POST"]),
    ("/ui/sign-in/factor", &["GET", "POST"]),
    ("/ui/sign-in/enrol", &["GET", "POST"]),
    ("/ui/sign-in/passkey", &["GET", "POST"]),
    ("/ui/sign-in/link", &["GET", "POST"]),
    ("/ui/magic-link", &["GET", "POST"]),
    ("/ui/not-me", &["GET", "POST"]),
    ("/dev/mailbox", &["GET"]),
    ("/dev/mailbox/messages", &["GET"]),
];

/// How a person's export is written, for the pages: as the API writes it. Dialects and pages don't know each other.
#[derive(Clone)]
struct ExportDocument(fn(&Ctx, Export) -> String);

/// Everything that this node answers, as one endpoint.
pub fn endpoint(app: &Arc<App>, log: AccessLog) -> impl Endpoint<Output = Response> + use<> {
    let views: html::SharedViews = Arc::new(view::Views::new(&base_path(app)));
    let mut route = Route::new();
    route = ops::routes(route);
    route = well_known::routes(route, app);
    route = ui::routes(route);
    route = gateway::routes(route);
    if app.settings.profile == Profile::Dev {
        route = dev::routes(route);
        route = metrics::routes(route);
    }
    let route = route.nest(native::BASE, native::api()).nest(converse::BASE, converse::api());
    let rest = route.data(Arc::clone(&views)).data(ExportDocument(native::export_document));
    let short = dispatch::Dispatch::new(gateway::hot(), rest);
    let inner = short.with(native::BASE, native::operations()).with(converse::BASE, converse::operations());
    let routes = edge::RouteTable { operations: operations(), methods: methods() };
    app.meters.traffic.open(routes.methods.iter().map(|(pattern, _)| pattern.clone()));
    edge::Edge { inner, app: Arc::clone(app), views, log, routes }
}

/// The path part of the public address, which pages put before their links: empty, or such as `/id`.
fn base_path(app: &App) -> String {
    let rest = app.settings.public_url.split_once("://").map_or("", |(_, rest)| rest);
    rest.find('/').map(|at| rest[at..].to_owned()).unwrap_or_default()
}

/// The exported documents: file name and content.
#[must_use]
pub fn documents() -> Vec<(&'static str, String)> {
    let native = native::api().spec();
    vec![
        ("native.json", spec::v3_1(&native)),
        ("native-3.0.json", spec::v3_0(&native)),
        ("native-rust.json", spec::for_rust(&native)),
        ("converse.json", spec::v3_1(&converse::api().spec())),
    ]
}

/// Id, method and pattern of every operation of `api`, as its document names them. Taken from what the document is written
/// of, since every start needs it and the document itself is seldom asked for.
fn patterns<T: OpenApi>(base: &str, _: &T) -> Vec<(&'static str, String, String)> {
    let paths = T::meta().into_iter().flat_map(|api| api.paths);
    let each = paths.flat_map(|path| {
        let pattern = format!("{base}{}", path.path.trim_end_matches('/'));
        path.operations.into_iter().map(move |operation| (operation.operation_id.unwrap_or_default(), operation.method.to_string(), pattern.clone()))
    });
    each.collect()
}

/// Method and pattern of every documented operation, by its id.
fn each_operation(mut visit: impl FnMut(&'static str, &str, &str)) {
    let native = patterns(native::BASE, &native::operations());
    for (id, method, path) in native.into_iter().chain(patterns(converse::BASE, &converse::operations())) {
        visit(id, &method, &path);
    }
}

fn operations() -> HashMap<String, String> {
    let mut operations = HashMap::new();
    each_operation(|id, _, path| {
        operations.insert(id.to_owned(), path.to_owned());
    });
    operations
}

fn methods() -> Vec<(String, Vec<String>)> {
    let plain = PLAIN_ROUTES.iter().map(|(path, methods)| ((*path).to_owned(), methods.iter().map(|method| (*method).to_owned()).collect()));
    let mut all: Vec<(String, Vec<String>)> = plain.collect();
    each_operation(|_, method, path| {
        let method = method.to_owned();
        match all.iter_mut().find(|(known, _)| known == path) {
            Some((_, methods)) => methods.push(method),
            None => all.push((path.to_owned(), vec![method])),
        }
    });
    all
}
