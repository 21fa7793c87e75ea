//! Which dialect a path belongs to: who is asked whether it answers in a realm, and in whose words it fails.

use poem::Response;

use super::{converse, failure::Failure};
use crate::domain::{realm::Family, request_id::RequestId};

/// Whose words a path is answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Pages for people.
    Pages,
    /// Problems (RFC 9457): the native dialect and everything that is of none.
    Native,
    Converse,
}

impl Dialect {
    /// The dialect of a path.
    pub(super) fn of(path: &str) -> Self {
        if path.starts_with("/ui/") {
            Self::Pages
        } else if below(path, converse::BASE) {
            Self::Converse
        } else {
            Self::Native
        }
    }

    /// What a realm switches on and off for a path; operations and pages are always there.
    pub(super) fn family(path: &str) -> Option<Family> {
        match Self::of(path) {
            Self::Converse => Some(Family::Converse),
            Self::Native if below(path, super::native::BASE) => Some(Family::Native),
            Self::Native | Self::Pages => None,
        }
    }

    /// A failure in the words of a dialect of programs.
    pub(super) fn render(self, failure: &Failure, id: &RequestId) -> Response {
        match self {
            Self::Converse => converse::render(failure),
            Self::Native | Self::Pages => failure.problem(id),
        }
    }
}

fn below(path: &str, base: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_dialect() {
        for (path, dialect, family) in [
            ("/api/v1/me", Dialect::Native, Some(Family::Native)),
            ("/api/v1", Dialect::Native, Some(Family::Native)),
            ("/api/user", Dialect::Converse, Some(Family::Converse)),
            ("/api/user/token/x", Dialect::Converse, Some(Family::Converse)),
            ("/api/users", Dialect::Native, None),
            ("/healthz/live", Dialect::Native, None),
            ("/ui/sign-in", Dialect::Pages, None),
        ] {
            assert_eq!((Dialect::of(path), Dialect::family(path)), (dialect, family), "{path}");
        }
    }
}
