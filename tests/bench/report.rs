//! The table at the end: what was measured, beside what, and whether the target was met.
//!
//! Knows nothing of how numbers come about; medians and pairing of rounds are here, so that every measurement treats
//! its rounds alike.

use serde_json::json;

use crate::Outcome;

/// What a row must hold to.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Ours over bare is at least this.
    Ratio(f64),
    /// Ours over bare is at most this.
    RatioAtMost(f64),
    /// Ours is at most this.
    AtMost(f64),
    /// Ours is between these.
    Between(f64, f64),
    /// The row is there for the reader.
    None,
}

/// One measured thing.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    pub(crate) bare: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) target: Target,
    /// Latencies and CPU, for the reader.
    pub(crate) note: String,
}

impl Row {
    /// A row without a peer.
    pub(crate) fn alone(what: impl Into<String>, unit: &'static str, ours: f64, target: Target, note: impl Into<String>) -> Self {
        Self { what: what.into(), unit, ours, bare: None, ratio: None, target, note: note.into() }
    }

    /// A row of rounds taken in turns, `(ours, bare)` each. The ratio is the median of the rounds' own ratios: what
    /// slows the machine for a while slows both halves of a round.
    pub(crate) fn paired(what: impl Into<String>, unit: &'static str, rounds: &[(f64, f64)], target: Target, note: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            unit,
            ours: median(rounds.iter().map(|round| round.0)),
            bare: Some(median(rounds.iter().map(|round| round.1))),
            ratio: Some(median(rounds.iter().map(|round| round.0 / round.1))),
            target,
            note: note.into(),
        }
    }

    /// Whether the target was met; `None` where there is none.
    fn met(&self) -> Option<bool> {
        match self.target {
            Target::Ratio(least) => Some(self.ratio.is_some_and(|ratio| ratio >= least)),
            Target::RatioAtMost(most) => Some(self.ratio.is_some_and(|ratio| ratio <= most)),
            Target::AtMost(most) => Some(self.ours <= most),
            Target::Between(least, most) => Some((least..=most).contains(&self.ours)),
            Target::None => None,
        }
    }

    fn cells(&self) -> [String; 7] {
        let number = |value: f64| if value >= 1_000.0 { format!("{value:.0} {}", self.unit) } else { format!("{value:.2} {}", self.unit) };
        [
            self.what.clone(),
            number(self.ours),
            self.bare.map(number).unwrap_or_default(),
            self.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            match self.target {
                Target::Ratio(least) => format!(">= {least}"),
                Target::RatioAtMost(most) => format!("<= {most} x"),
                Target::AtMost(most) => format!("<= {most} {}", self.unit),
                Target::Between(least, most) => format!("{least} to {most}"),
                Target::None => String::new(),
            },
            self.met().map(|met| if met { "yes" } else { "NO" }).unwrap_or_default().to_owned(),
            self.note.clone(),
        ]
    }
}

/// All rows so far.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds a row and says so at once, since the whole run takes minutes.
    pub(crate) fn add(&mut self, row: Row) {
        let shown: Vec<_> = row.cells().into_iter().filter(|cell| !cell.is_empty()).collect();
        eprintln!("  {}", shown.join("  "));
        self.rows.push(row);
    }

    /// Whether every target was met.
    pub(crate) fn all_met(&self) -> bool {
        self.rows.iter().all(|row| row.met() != Some(false))
    }

    /// Prints the table, or the same as a JSON array.
    pub(crate) fn print(&self, as_json: bool) -> Outcome<()> {
        if as_json {
            println!("{}", serde_json::to_string_pretty(&self.rows.iter().map(to_json).collect::<Vec<_>>())?);
            return Ok(());
        }
        let header = ["what", "ours", "bare", "ratio", "target", "ok", "beside"].map(str::to_owned);
        let table: Vec<_> = std::iter::once(header).chain(self.rows.iter().map(Row::cells)).collect();
        let widths: [usize; 7] = std::array::from_fn(|column| table.iter().map(|cells| cells[column].chars().count()).max().unwrap_or_default());
        println!();
        for cells in &table {
            let line: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            println!("{}", line.join(" | ").trim_end());
        }
        let missed = self.rows.iter().filter(|row| row.met() == Some(false)).count();
        println!("\n{missed} of {} targets missed", self.rows.iter().filter(|row| row.met().is_some()).count());
        Ok(())
    }
}

fn to_json(row: &Row) -> serde_json::Value {
    let target = match row.target {
        Target::Ratio(least) => json!({ "ratioAtLeast": least }),
        Target::RatioAtMost(most) => json!({ "ratioAtMost": most }),
        Target::AtMost(most) => json!({ "atMost": most }),
        Target::Between(least, most) => json!({ "atLeast": least, "atMost": most }),
        Target::None => serde_json::Value::Null,
    };
    json!({ "what": row.what, "unit": row.unit, "ours": row.ours, "bare": row.bare, "ratio": row.ratio, "target": target, "ok": row.met(), "beside": row.note })
}

/// The middle value; of an even number of values the lower of the two, and 0 of none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}
