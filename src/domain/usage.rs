//! How often a key was used, by what came of it.

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};

use super::{Error, Result};

/// What came of one use of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Valid,
    RateLimited,
    InsufficientScope,
    Expired,
    Revoked,
    IpNotAllowed,
}

impl Outcome {
    /// All of them, in the order of [`Counts`].
    pub const ALL: [Self; 6] = [Self::Valid, Self::RateLimited, Self::InsufficientScope, Self::Expired, Self::Revoked, Self::IpNotAllowed];

    /// The stored and public word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::RateLimited => "rate_limited",
            Self::InsufficientScope => "insufficient_scope",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::IpNotAllowed => "ip_not_allowed",
        }
    }

    /// The outcome of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// A count for each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; 6]);

impl Counts {
    pub fn add(&mut self, outcome: Outcome, count: u64) {
        self.0[outcome as usize] += count;
    }

    #[must_use]
    pub fn get(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }
}

/// What one line of a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Hour,
    Day,
}

/// How long a report may be, and what it is about: whole hours or days in UTC, `from` included, `to` not.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub step: Step,
}

/// How long counts are kept, and so the longest report by days.
pub const KEPT: TimeDelta = TimeDelta::days(90);

impl Span {
    /// The span that a reader asks for: by hours the last day if they say nothing, seven days at most; by days the last
    /// thirty, ninety at most.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `from` if it is not before `to`, or too far from it.
    pub fn new(step: Step, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<Self> {
        let (unit, usual, most) = match step {
            Step::Hour => (TimeDelta::hours(1), TimeDelta::hours(24), TimeDelta::days(7)),
            Step::Day => (TimeDelta::days(1), TimeDelta::days(30), KEPT),
        };
        let begin = |at: DateTime<Utc>| at.duration_trunc(unit).map_err(|_| Error::invalid("from", "out_of_range", "must be an instant of our time"));
        // The step that `to` is in belongs to the report.
        let last = to.unwrap_or(now).checked_sub_signed(TimeDelta::microseconds(1)).unwrap_or(now);
        let to = begin(last)? + unit;
        let from = match from {
            Some(from) => begin(from)?,
            None => to - usual,
        };
        if from >= to {
            return Err(Error::invalid("from", "out_of_range", "must be before `to`"));
        }
        if to - from > most {
            return Err(Error::invalid("from", "out_of_range", format!("must be at most {} days before `to`", most.num_days())));
        }
        Ok(Self { from, to, step })
    }

    /// The line of the report that an hour belongs to.
    #[must_use]
    pub fn line(&self, hour: DateTime<Utc>) -> DateTime<Utc> {
        match self.step {
            Step::Hour => hour,
            Step::Day => hour.duration_trunc(TimeDelta::days(1)).unwrap_or(hour),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn spans_are_whole_steps_and_bounded() {
        let now = at("2026-05-01T10:20:30Z");
        let day = Span::new(Step::Hour, None, None, now).unwrap();
        assert_eq!((day.from, day.to), (at("2026-04-30T11:00:00Z"), at("2026-05-01T11:00:00Z")));
        let month = Span::new(Step::Day, None, None, now).unwrap();
        assert_eq!((month.from, month.to), (at("2026-04-02T00:00:00Z"), at("2026-05-02T00:00:00Z")));
        let given = Span::new(Step::Day, Some(at("2026-04-03T23:00:00Z")), Some(at("2026-04-05T00:00:00Z")), now).unwrap();
        assert_eq!((given.from, given.to), (at("2026-04-03T00:00:00Z"), at("2026-04-05T00:00:00Z")));
        assert_eq!(given.line(at("2026-04-04T17:00:00Z")), at("2026-04-04T00:00:00Z"));
        for (step, from) in [(Step::Hour, "2026-04-24T10:00:00Z"), (Step::Day, "2026-01-30T00:00:00Z"), (Step::Day, "2026-05-02T00:00:00Z")] {
            assert!(Span::new(step, Some(at(from)), None, now).is_err(), "{from}");
        }
        assert!(Span::new(Step::Hour, Some(DateTime::<Utc>::MIN_UTC), Some(DateTime::<Utc>::MIN_UTC), now).is_err());
    }
}
