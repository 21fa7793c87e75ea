//! `serve` and `worker`: start, say so, run until told to stop, finish what was begun.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use clap::Args;
use tokio::{net::TcpListener, signal::unix::SignalKind, sync::watch, task::JoinHandle};

use super::open;
use crate::{
    app::App,
    config::{LogFormat, Overrides, Profile, Settings},
    domain::{Error, Result},
    http::{self, AccessLog, Spans},
    service::{change_feed::Feed, installation},
    telemetry, worker,
};

/// How long requests in flight may take after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);
/// Connections to `/metrics`: more than anybody's collectors.
const METRICS_CONNECTIONS: usize = 32;

#[derive(Args, Default)]
pub(super) struct ServeArgs {
    /// Address to listen on [setting: listen]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Address that people and programs use [setting: `public_url`]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// dev or production [setting: profile]
    #[arg(long)]
    profile: Option<String>,
    /// Leave owed work to `realmgate worker`
    #[arg(long)]
    pub(super) no_worker: bool,
}

impl ServeArgs {
    pub(super) fn apply(&self, overrides: &mut Overrides) {
        overrides.listen.clone_from(&self.listen);
        overrides.public_url.clone_from(&self.public_url);
        overrides.profile.clone_from(&self.profile);
    }
}

/// Turns true at SIGTERM or SIGINT, `delay` after this node began to say that it goes. A second signal ends the wait.
fn stop_signal(app: &Arc<App>, delay: Duration) -> Result<watch::Receiver<bool>> {
    let app = Arc::clone(app);
    let (stop, stopped) = watch::channel(false);
    let listen = |kind| tokio::signal::unix::signal(kind).map_err(Error::internal);
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        app.draining.store(true, Ordering::Relaxed);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Nobody listens any more if everything has stopped by itself.
        let _ = stop.send(true);
    });
    Ok(stopped)
}

pub(super) async fn serve(settings: &Settings, no_worker: bool) -> Result<()> {
    telemetry::start(settings)?;
    let app = open(settings).await?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|cause| Error::Setup(format!("can't listen on {}: {cause}; set REALMGATE_LISTEN to a free address", settings.listen)))?;
    let stop = stop_signal(&app, Duration::from_secs(settings.stop_delay))?;
    let feed = Feed::open(&app).await?;
    let mut tasks = vec![worker::spawn_feed(&app, feed, stop.clone()), worker::spawn_housekeeping(&app, stop.clone()), worker::spawn_usage(&app, stop.clone())];
    tasks.push(worker::spawn_renewals(&app, stop.clone()));
    if settings.redis_url.is_some() {
        tasks.push(worker::spawn_presence(&app, stop.clone()));
    }
    if !no_worker {
        tasks.push(worker::spawn_jobs(&app, stop.clone()));
    }
    let wants_log = settings.log.split(',').any(|part| matches!(part.trim(), "info" | "debug" | "trace"));
    let log = if wants_log { AccessLog::stdout(settings.log_format).map_err(Error::internal)? } else { AccessLog::off() };
    let log = log.with_spans(Spans::start(settings)?);
    tasks.extend(serve_metrics(&app, stop.clone()).await?);
    let endpoint = http::endpoint(&app, log);
    announce(&app, listener.local_addr().map_err(Error::internal)?).await?;
    let cut = http::serve(listener, endpoint, settings.max_connections, Arc::clone(&app.meters), stop, DRAIN).await;
    if cut > 0 {
        tracing::warn!(cut, "some connections did not finish in time");
    }
    finish(app, tasks).await
}

pub(super) async fn worker(settings: &Settings) -> Result<()> {
    telemetry::start(settings)?;
    let app = open(settings).await?;
    let mut stop = stop_signal(&app, Duration::ZERO)?;
    let feed = Feed::open(&app).await?;
    let mut tasks = vec![worker::spawn_feed(&app, feed, stop.clone()), worker::spawn_jobs(&app, stop.clone())];
    tasks.extend(serve_metrics(&app, stop.clone()).await?);
    println!("Realmgate's worker is running.");
    // The channel closes only after it has said so.
    let _ = stop.changed().await;
    finish(app, tasks).await
}

/// Serves `/metrics` at its own address, if it has one.
async fn serve_metrics(app: &Arc<App>, stop: watch::Receiver<bool>) -> Result<Option<JoinHandle<()>>> {
    let Some(address) = app.settings.metrics_listen else { return Ok(None) };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|cause| Error::Setup(format!("can't listen on {address}: {cause}; set REALMGATE_METRICS_LISTEN to a free address")))?;
    let endpoint = http::metrics_endpoint(app);
    Ok(Some(tokio::spawn(async move {
        http::serve(listener, endpoint, METRICS_CONNECTIONS, Arc::default(), stop, Duration::ZERO).await;
    })))
}

/// Says where everything is. For people at a terminal: with JSON logs it goes to standard error, so that standard
/// output stays one JSON line a line.
async fn announce(app: &App, local: std::net::SocketAddr) -> Result<()> {
    let base = &app.settings.public_url;
    let mut lines = vec![format!("Realmgate is ready at {base} (listening on {local})")];
    if let Some(link) = installation::setup_link(app).await? {
        lines.push(format!("  set up the operator, once:  {link}"));
    }
    if app.settings.profile == Profile::Dev && app.mail.is_mailbox() {
        lines.push(format!("  mails:                      {base}/dev/mailbox"));
    }
    lines.push(format!("  API reference:              {base}/docs"));
    let text = lines.join("\n");
    match app.settings.log_format {
        LogFormat::Json => eprintln!("{text}"),
        LogFormat::Text => println!("{text}"),
    }
    tracing::info!(listen = %local, profile = ?app.settings.profile, "ready");
    Ok(())
}

/// Waits for what runs beside the requests, then closes the database.
async fn finish(app: Arc<App>, tasks: Vec<JoinHandle<()>>) -> Result<()> {
    for task in tasks {
        if tokio::time::timeout(DRAIN, task).await.is_err() {
            tracing::warn!("owed work did not finish in time; it will be repeated");
        }
    }
    worker::last_words(&app).await;
    // All is written by now. A database that does not say goodbye in time makes no bad end of it.
    if let Err(error) = app.db.clone().close().await {
        tracing::warn!(%error, "the database could not be closed in time");
    }
    tracing::info!("stopped");
    Ok(())
}
