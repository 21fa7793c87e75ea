//! `/metrics`: the node's counters in Prometheus' text format (version 0.0.4). HTTP metrics have the names and labels of
//! OpenTelemetry's semantic conventions, ours begin with `realmgate_`.
//!
//! Whoever can ask learns how much the service is used. So it is at an address of its own, `metrics_listen`, or in
//! profile dev, which nobody else can reach, beside everything else.

use std::{
    fmt::{Display, Write as _},
    sync::Arc,
};

use poem::{Endpoint, EndpointExt as _, Response, Route, get, handler, http::header, web::Data};

use super::route;
use crate::{
    app::App,
    domain::measure::{BOUNDS, Histogram},
    service::health,
};

const PATH: &str = "/metrics";

/// The route of this file.
pub(super) fn routes(route: Route) -> Route {
    route.at(PATH, route::named(PATH, get(metrics)))
}

/// An endpoint that answers `/metrics` and nothing else, for a listener of its own.
pub fn metrics_endpoint(app: &Arc<App>) -> impl Endpoint + use<> {
    Route::new().at(PATH, get(metrics)).data(Arc::clone(app))
}

#[handler]
async fn metrics(app: Data<&Arc<App>>) -> Response {
    let text = render(&app).await;
    Response::builder().content_type("text/plain; version=0.0.4; charset=utf-8").header(header::CACHE_CONTROL, "no-store").body(text)
}

/// The text, grown by whole metrics.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins a metric.
    fn metric(&mut self, kind: &str, name: &str, help: &str) {
        // Writing into a string fails never, here and below.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// A value of a metric that was begun. `labels` come from fixed sets: nothing in them needs escaping.
    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{text}\"", if at == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn one(&mut self, kind: &str, name: &str, help: &str, value: impl Display) {
        self.metric(kind, name, help);
        self.value(name, &[], value);
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let counts = histogram.cumulative();
        let bounds = BOUNDS.iter().map(|bound| std::time::Duration::from_micros(*bound).as_secs_f64().to_string());
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(counts) {
            self.value(&format!("{name}_bucket"), &[labels, &[("le", bound.as_str())]].concat(), count);
        }
        self.value(&format!("{name}_sum"), labels, histogram.seconds());
        self.value(&format!("{name}_count"), labels, counts[BOUNDS.len()]);
    }
}

async fn render(app: &App) -> String {
    let mut text = Text::default();
    text.metric("gauge", "realmgate_build_info", "Always 1; the version is its label.");
    text.value("realmgate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    requests(app, &mut text);
    hashes(app, &mut text);
    caches(app, &mut text);
    database(app, &mut text).await;
    process(&mut text);
    text.0
}

fn requests(app: &App, text: &mut Text) {
    let series = app.meters.traffic.series();
    fn labels<'a>(route: &'a str, method: &'a str) -> [(&'static str, &'a str); 2] {
        [("http_request_method", method), ("http_route", route)]
    }
    let name = "http_server_request_duration_seconds";
    text.metric("histogram", name, "Time from a request's head to its answer.");
    for (route, method, series) in &series {
        text.histogram(name, &labels(route, method), &series.took);
    }
    let name = "http_server_requests_total";
    text.metric("counter", name, "Requests that were answered, by status.");
    for (route, method, series) in &series {
        for (status, count) in series.statuses() {
            text.value(name, &[labels(route, method).as_slice(), &[("http_response_status_code", status.as_str())]].concat(), count);
        }
    }
    text.one("gauge", "http_server_active_requests", "Requests that are being answered.", app.meters.traffic.active());
    let open = app.meters.connections.load(std::sync::atomic::Ordering::Relaxed);
    text.one("gauge", "realmgate_connections", "Connections of clients.", open);
    text.one("gauge", "realmgate_connections_max", "Connections that are taken at most.", app.settings.max_connections);
}

fn hashes(app: &App, text: &mut Text) {
    let pool = &app.passwords;
    text.one("gauge", "realmgate_hash_permits", "Password hashes that may run at once.", pool.permits());
    text.one("gauge", "realmgate_hash_running", "Password hashes that run.", pool.running());
    text.one("gauge", "realmgate_hash_queue", "Requests that wait for a hash.", pool.waiting());
    text.one("gauge", "realmgate_hash_queue_max", "Requests that may wait for a hash.", app.settings.hash_queue);
    text.one("counter", "realmgate_hash_refused_total", "Requests that were told to come back, the queue being full.", pool.meters.refused.get());
    text.metric("histogram", "realmgate_hash_wait_seconds", "Time that a hash waited for its turn.");
    text.histogram("realmgate_hash_wait_seconds", &[], &pool.meters.waited);
    text.metric("histogram", "realmgate_hash_duration_seconds", "Time that a hash took.");
    text.histogram("realmgate_hash_duration_seconds", &[], &pool.meters.took);
}

fn caches(app: &App, text: &mut Text) {
    let usage = app.caches.usage();
    text.metric("counter", "realmgate_cache_requests_total", "Look-ups in the node's memory.");
    for (cache, rate, _) in &usage {
        text.value("realmgate_cache_requests_total", &[("cache", cache), ("result", "hit")], rate.hits.get());
        text.value("realmgate_cache_requests_total", &[("cache", cache), ("result", "miss")], rate.misses.get());
    }
    text.metric("gauge", "realmgate_cache_entries", "Entries, about.");
    for (cache, _, entries) in &usage {
        text.value("realmgate_cache_entries", &[("cache", cache)], entries);
    }
    let age = app.caches.feed_age().as_secs_f64();
    text.one("gauge", "realmgate_feed_age_seconds", "Time since word of other nodes was read; over 5 s the caches rest.", age);
}

async fn database(app: &App, text: &mut Text) {
    let health = health::check(app).await;
    text.one("gauge", "realmgate_database_up", "Whether the database answers.", u8::from(health.is_ok()));
    text.metric("gauge", "realmgate_database_connections", "Connections to the database.");
    let usage = app.db.usage();
    for (pool, usage) in &usage {
        text.value("realmgate_database_connections", &[("pool", pool), ("state", "used")], usage.open.saturating_sub(usage.idle));
        text.value("realmgate_database_connections", &[("pool", pool), ("state", "idle")], usage.idle);
    }
    text.metric("gauge", "realmgate_database_connections_max", "Connections to the database at most.");
    for (pool, usage) in &usage {
        text.value("realmgate_database_connections_max", &[("pool", pool)], usage.most);
    }
    text.one("counter", "realmgate_database_statements_total", "Statements that were sent to the database.", app.db.statements());
    text.metric("counter", "realmgate_jobs_total", "Attempts at jobs, of which most are mails, and what became of them.");
    for ((kind, outcome), count) in app.meters.jobs() {
        text.value("realmgate_jobs_total", &[("kind", kind), ("outcome", outcome)], count);
    }
    if let Ok(health) = health {
        text.metric("gauge", "realmgate_limits_info", "Always 1; where limits are counted is its label.");
        text.value("realmgate_limits_info", &[("books", health.books.as_str())], 1);
        text.one("counter", "realmgate_limits_judged_alone_total", "Requests whose limit was judged without Redis.", health.judged_alone);
        text.one("gauge", "realmgate_jobs_pending", "Jobs that wait, of all nodes.", health.jobs_pending);
        text.one("gauge", "realmgate_jobs_dead", "Jobs that were given up, of all nodes.", health.jobs_dead);
        text.one("gauge", "realmgate_jobs_oldest_age_seconds", "How long the oldest of those that wait does.", health.jobs_oldest);
    }
}

/// What Linux tells about this process, under the names of Prometheus' own clients.
fn process(text: &mut Text) {
    let pages = std::fs::read_to_string("/proc/self/statm").ok().and_then(|pages| pages.split(' ').nth(1)?.parse::<u64>().ok());
    if let Some(pages) = pages {
        text.one("gauge", "process_resident_memory_bytes", "Resident memory.", pages * 4_096);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        text.one("gauge", "process_open_fds", "Open files and sockets.", files.count());
    }
}
