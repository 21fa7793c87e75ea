//! Requests as OpenTelemetry spans, sent to a collector as OTLP over HTTP, if `otlp_url` names one.
//!
//! A span is made when its request was answered, of what the log line holds: method, route pattern, status, code, times.
//! A thread of the SDK sends batches; what it can't keep up with is dropped there, and no request waits for it.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceState, Tracer as _, TracerProvider as _},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use secrecy::ExposeSecret as _;
use tokio::runtime::Handle;

use super::{
    access_log::Line,
    traceparent::{Parent, TraceIds},
};
use crate::{
    config::Settings,
    domain::{Error, Result},
};

/// How long a collector may take for a batch, and all of them for the last ones.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way to the collector.
pub struct Spans {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spans")
    }
}

impl Spans {
    /// The way to the collector that the settings name, if they name one. Connects when there is something to send.
    ///
    /// # Errors
    /// [`Error::Setup`] for an address that can't be one.
    pub fn start(settings: &Settings) -> Result<Option<Self>> {
        let Some(url) = &settings.otlp_url else { return Ok(None) };
        // The address of a collector stands for its usual path (OTLP specification, "OTLP/HTTP Request").
        let base = url.expose_secret().trim_end_matches('/');
        let endpoint = if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") };
        let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build().map_err(Error::internal)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client { client, handle: Handle::current() })
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(PATIENCE)
            .with_endpoint(endpoint)
            .build()
            .map_err(|_| Error::Setup("the setting `otlp_url` must be an address such as http://collector:4318".to_owned()))?;
        let resource = Resource::builder().with_service_name("realmgate").with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.trace_ratio))))
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("realmgate");
        Ok(Some(Self { provider, tracer }))
    }

    /// Hands a request's span on, if it is one of those that are kept, and says what it is called.
    pub(super) fn record(&self, line: &Line<'_>, parent: Option<Parent>) -> TraceIds {
        let ended = SystemTime::from(line.at);
        let name = if line.route.is_empty() { line.method.to_owned() } else { format!("{} {}", line.method, line.route) };
        let mut attributes = vec![
            KeyValue::new("http.request.method", line.method),
            KeyValue::new("http.response.status_code", i64::from(line.status)),
            KeyValue::new("http.route", line.route.to_owned()),
            KeyValue::new("realmgate.request_id", line.id.to_owned()),
        ];
        attributes.extend(line.code.map(|code| KeyValue::new("error.type", code)));
        let builder = self.tracer.span_builder(name).with_kind(SpanKind::Server).with_start_time(ended.checked_sub(line.took).unwrap_or(ended));
        let mut span = self.tracer.build_with_context(builder.with_attributes(attributes), &context(parent));
        if line.status >= 500 {
            span.set_status(Status::error(""));
        }
        let ids = TraceIds {
            trace_id: u128::from_be_bytes(span.span_context().trace_id().to_bytes()),
            span_id: u64::from_be_bytes(span.span_context().span_id().to_bytes()),
        };
        span.end_with_timestamp(ended);
        ids
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

fn context(parent: Option<Parent>) -> Context {
    let Some(Parent { trace_id, span_id, sampled }) = parent else { return Context::new() };
    let flags = TraceFlags::default().with_sampled(sampled);
    Context::new().with_remote_span_context(SpanContext::new(trace_id.into(), span_id.into(), flags, true, TraceState::NONE))
}

/// Our HTTP client for the SDK, whose thread has no runtime of its own.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    handle: Handle,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = async move {
            let mut reply = client.execute(request.try_into()?).await?.error_for_status()?;
            let mut answer = Response::builder().status(reply.status());
            if let Some(headers) = answer.headers_mut() {
                std::mem::swap(headers, reply.headers_mut());
            }
            Ok::<_, HttpError>(answer.body(reply.bytes().await?)?)
        };
        self.handle.spawn(exchange).await?
    }
}
