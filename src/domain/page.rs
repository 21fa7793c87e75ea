//! One page of a list: how many, after which one.

use std::str::FromStr;

use super::{Error, Result};

/// Items of a page if nobody says otherwise, and at most.
const DEFAULT_LIMIT: u64 = 50;
const MOST: u64 = 200;

/// What a reader asks for. `Id` is what the list is ordered by.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest<Id> {
    pub limit: u64,
    pub after: Option<Id>,
}

/// What they get.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// To be sent with the next request; `None` at the end.
    pub next_cursor: Option<String>,
}

impl<Id: FromStr> PageRequest<Id> {
    /// Reads `limit` (1 to 200, 50 if left out) and `cursor` as a client sent them.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `limit` or `cursor`.
    pub fn new(limit: Option<u64>, cursor: Option<&str>) -> Result<Self> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MOST).contains(&limit) {
            return Err(Error::invalid("limit", "out_of_range", format!("must be 1 to {MOST}")));
        }
        let wrong = |_| Error::invalid("cursor", "invalid", "must be the `nextCursor` of the page before");
        Ok(Self { limit, after: cursor.map(str::parse).transpose().map_err(wrong)? })
    }
}

impl<Id> PageRequest<Id> {
    /// How many rows to read: one more than the page holds tells whether there is another.
    #[must_use]
    pub fn to_read(&self) -> u64 {
        self.limit + 1
    }

    /// The page of the rows that were read; `cursor` names the place of an item.
    pub fn page<T>(&self, mut items: Vec<T>, cursor: impl Fn(&T) -> String) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        Page { next_cursor: if more { items.last().map(cursor) } else { None }, items }
    }
}
