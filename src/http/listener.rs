//! Our own accept loop around poem's endpoint: poem's server has no limit on how long a header may take, no cap on
//! connections and leaves small replies waiting for Nagle's timer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use poem::{
    Endpoint, EndpointExt as _,
    http::{HeaderValue, header, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use tokio::{net::TcpListener, sync::Semaphore, sync::watch, time::Instant};

const HEADER_TIME: Duration = Duration::from_secs(10);
/// How long clients are still heard after `stop`, with replies that say it was the last one. A connection closed at once
/// would take the request along that its client is just writing.
const FAREWELL: Duration = Duration::from_secs(1);
const HEADERS: usize = 64;
/// What a client may send before its header ends.
const HEADER_BYTES: usize = 32 * 1_024;

/// Serves until `stop` turns true, says farewell to who is still connected, then lets requests in flight finish for `drain`.
///
/// # Errors
/// If the listener's own address can't be told.
pub async fn serve(listener: TcpListener, endpoint: impl Endpoint + 'static, connections: usize, mut stop: watch::Receiver<bool>, drain: Duration) -> std::io::Result<()> {
    let endpoint = Arc::new(endpoint.map_to_response());
    let local = LocalAddr(listener.local_addr()?.into());
    let places = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_headers(HEADERS).max_buf_size(HEADER_BYTES).half_close(false);
    let leaving = Arc::new(AtomicBool::new(false));
    let mut end = None;
    loop {
        // Over the cap nobody is accepted: the queue of the operating system holds them.
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>((place, listener.accept().await))
        };
        let (place, accepted) = tokio::select! {
            biased;
            _ = stop.changed(), if end.is_none() => {
                leaving.store(true, Ordering::Relaxed);
                end = Some(Instant::now() + FAREWELL);
                continue;
            }
            next = next, if end.is_none_or(|end| Instant::now() < end) => next?,
            () = farewell(end, &graceful) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely; a pause lets others close theirs.
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Without it a small reply may wait; with a broken socket the connection fails by itself.
        let _ = stream.set_nodelay(true);
        let (endpoint, local) = (Arc::clone(&endpoint), local.clone());
        let remote = RemoteAddr(peer.into());
        let leaving = Arc::clone(&leaving);
        let service = service_fn(move |request| {
            let (endpoint, leaving) = (Arc::clone(&endpoint), Arc::clone(&leaving));
            let request = poem::Request::from((request, local.clone(), remote.clone(), Scheme::HTTP));
            async move {
                let mut reply: hyper::Response<_> = endpoint.get_response(request).await.into();
                if leaving.load(Ordering::Relaxed) {
                    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, std::convert::Infallible>(reply)
            }
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // A client that went away is not worth a line.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
    Ok(())
}

/// Waits until everybody has gone or `end` has come; for ever while there is no end.
async fn farewell(end: Option<Instant>, graceful: &GracefulShutdown) {
    let Some(end) = end else { return std::future::pending().await };
    while graceful.count() > 0 && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
