//! `LIMIT` as a number in the text, for SQLite.
//!
//! The ORM binds it like any value. SQLite plans a statement anew whenever what is bound to a `LIMIT` is bound again, even
//! to the same number, so that every look-up of one row would be compiled each time it runs.

use sea_orm::{Statement, Value};

const BOUND: &str = "LIMIT ?";
/// Larger ones are rare, and each number is one more statement to keep.
const MOST: u64 = 200;

/// The statement with its bound limits written out. Texts and names with a question mark don't occur in our statements.
pub(super) fn literal_limits(mut statement: Statement) -> Statement {
    let mut from = 0;
    while let Some(found) = statement.sql.get(from..).and_then(|rest| rest.find(BOUND)) {
        let mark = from + found + BOUND.len() - 1;
        from = mark + 1;
        let number = statement.sql.get(..mark).map_or(0, |before| before.bytes().filter(|&byte| byte == b'?').count());
        let Some(values) = &mut statement.values else { break };
        let limit = match values.0.get(number) {
            Some(Value::BigUnsigned(Some(limit))) => *limit,
            Some(Value::BigInt(Some(limit))) => u64::try_from(*limit).unwrap_or(u64::MAX),
            _ => continue,
        };
        if limit > MOST {
            continue;
        }
        values.0.remove(number);
        statement.sql.replace_range(mark..=mark, &limit.to_string());
    }
    statement
}

#[cfg(test)]
mod tests {
    use sea_orm::{DbBackend, Values};

    use super::*;

    #[test]
    fn limits_are_written_out_and_all_else_stays_bound() {
        let text = "UPDATE a SET b = ? WHERE c NOT IN (SELECT d FROM a WHERE e = ? LIMIT ?); SELECT f FROM a WHERE g = ? LIMIT ? OFFSET ?";
        let values = [1_u64, 2, 4, 5, 1, 7].map(|number| Value::BigUnsigned(Some(number))).to_vec();
        let literal = literal_limits(Statement { sql: text.into(), values: Some(Values(values)), db_backend: DbBackend::Sqlite });
        assert_eq!(literal.sql, "UPDATE a SET b = ? WHERE c NOT IN (SELECT d FROM a WHERE e = ? LIMIT 4); SELECT f FROM a WHERE g = ? LIMIT 1 OFFSET ?");
        assert_eq!(literal.values.unwrap().0, [1_u64, 2, 5, 7].map(|number| Value::BigUnsigned(Some(number))));
    }

    #[test]
    fn large_limits_stay_bound() {
        let statement =
            Statement { sql: "SELECT f FROM a LIMIT ?".into(), values: Some(Values(vec![Value::BigUnsigned(Some(1_000))])), db_backend: DbBackend::Sqlite };
        assert_eq!(literal_limits(statement.clone()), statement);
    }
}
