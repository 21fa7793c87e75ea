//! The log: one line an event, JSON or text, on standard output. Secrets have types that print nothing, and no line
//! here ever holds a URI, a body or an address of a person.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    config::{LogFormat, Settings},
    domain::{Error, Result},
};

/// What says too much at `info`: each step of the schema, before a first start can show its links. A filter that names it
/// gets it back.
const QUIET: &str = "sea_orm_migration=warn";

/// Starts the log and makes panics one line of it.
///
/// # Errors
/// [`Error::Setup`] for a filter that can't be read.
pub fn start(settings: &Settings) -> Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", settings.log))
        .map_err(|_| Error::Setup("the setting `log` must be a level or a filter such as info,realmgate=debug".to_owned()))?;
    let registry = tracing_subscriber::registry().with(filter);
    // A second start in one process keeps the first.
    let _ = match settings.log_format {
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(fmt::layer()).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        // Where, but not what: a panic's text may quote anything.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    Ok(())
}
