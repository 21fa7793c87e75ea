//! Memory of the server's process: at rest, and with as many logins at once as a queue should hold.

use std::{thread, time::Duration};

use crate::{
    Args, Outcome, hash, load,
    people::Person,
    report::{Report, Row, Target},
    server::Stage,
};

/// Resident memory of a server that has just started and does nothing.
pub(crate) fn idle(stage: &Stage, report: &mut Report) -> Outcome<()> {
    eprintln!("memory");
    thread::sleep(Duration::from_secs(2));
    report.add(Row::alone("idle memory", "MiB", stage.server.child.resident_mib()?, Target::AtMost(25.0), "resident, 2 s after the start"));
    Ok(())
}

/// The most resident memory while 64 people log in at once.
pub(crate) fn peak(args: &Args, stage: &Stage, people: &[Person], report: &mut Report) -> Outcome<()> {
    stage.server.child.forget_peak()?;
    let (sample, _) = load::run(stage.server.addr, hash::logins(stage, people, 64), args.round().max(Duration::from_secs(2)))?;
    let note = format!("{} logins", sample.count);
    report.add(Row::alone("peak memory, 64 logins at once", "MiB", stage.server.child.peak_mib()?, Target::AtMost(100.0), note));
    Ok(())
}
