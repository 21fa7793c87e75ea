//! How many nodes there are: what a limit is divided by while Redis does not answer.

use chrono::TimeDelta;

use crate::{
    app::App,
    domain::{Result, id::NodeId},
    store,
};

/// A node that was not seen for so long is gone. Longer than a few stamps, for clocks differ.
const GONE_AFTER: TimeDelta = TimeDelta::seconds(60);

/// Says that this node runs, and notes how many do.
///
/// # Errors
/// What the database says; the last known number stays.
pub async fn stamp(app: &App, id: NodeId) -> Result<()> {
    if app.settings.nodes > 0 {
        app.limiter.set_nodes(app.settings.nodes);
        return Ok(());
    }
    let now = app.clock.now();
    store::nodes::stamp(&app.db.write, id, now).await?;
    let seen = store::nodes::count_since(&app.db.read, now - GONE_AFTER).await?;
    app.limiter.set_nodes(u32::try_from(seen).unwrap_or(u32::MAX));
    Ok(())
}

/// Says that this node stops, so that the others need not wait to notice.
///
/// # Errors
/// What the database says.
pub async fn leave(app: &App, id: NodeId) -> Result<()> {
    store::nodes::delete(&app.db.write, id).await
}
