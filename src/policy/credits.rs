//! The debugging credits of each operation.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::polling::FetchError;

/// The credits of each operation: bounded in number, names and amounts, whatever a server sends and
/// however spans are named.
#[derive(Debug, Default)]
pub(super) struct Credits {
    of: HashMap<Arc<str>, f64>,
}

/// The outcome of a request for a credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// One credit was taken.
    Granted,
    /// Less than one credit is left.
    TooLittle,
    /// No credit is left or known; the operation is stored, so that it is polled.
    Nothing,
    /// The operation is not known, and cannot be stored.
    NoRoom,
}

/// The credit that a response adds to an operation.
pub(super) type Balance = (String, f64);

impl Credits {
    /// Takes one credit of the operation.
    pub(super) fn claim(&mut self, operation: &str) -> Claim {
        let Some(credit) = self.of.get_mut(operation) else {
            return if self.remember(operation) { Claim::Nothing } else { Claim::NoRoom };
        };
        if *credit >= 1.0 {
            *credit -= 1.0;
            Claim::Granted
        } else if *credit > 0.0 {
            Claim::TooLittle
        } else {
            Claim::Nothing
        }
    }

    /// Adds the credits of a response. No operation exceeds the maximum.
    pub(super) fn add(&mut self, balances: &[Balance]) {
        for (operation, balance) in balances {
            if (self.of.contains_key(&**operation) || self.remember(operation))
                && let Some(credit) = self.of.get_mut(&**operation)
            {
                // In this order, not-a-number becomes 0.
                *credit = (*credit + balance.max(0.0)).min(MAX_CREDIT);
            }
        }
    }

    fn remember(&mut self, operation: &str) -> bool {
        let fits = self.of.len() < MAX_OPERATIONS && operation.len() <= MAX_OPERATION_BYTES;
        if fits {
            self.of.insert(operation.into(), 0.0);
        }
        fits
    }

    /// Returns all operations, in lists that each fit one request.
    pub(super) fn requests(&self) -> Vec<Vec<Arc<str>>> {
        let mut operations: Vec<_> = self.of.keys().cloned().collect();
        operations.sort_unstable();
        let mut requests = Vec::<Vec<_>>::new();
        let mut room = 0;
        for operation in operations {
            let bytes = operation.len() + PARAMETER_BYTES;
            match requests.last_mut() {
                Some(request) if bytes <= room => {
                    room -= bytes;
                    request.push(operation);
                }
                _ => {
                    room = MAX_REQUEST_BYTES.saturating_sub(bytes);
                    requests.push(vec![operation]);
                }
            }
        }
        requests
    }
}

/// Parses a response: `{"balances": [{"operation": "op", "balance": 2.0}]}`.
pub(super) fn read(body: &[u8]) -> Result<Vec<Balance>, FetchError> {
    let response: Value = serde_json::from_slice(body).map_err(FetchError::new)?;
    let balances = match response.get("balances") {
        Some(Value::Array(balances)) => balances,
        Some(Value::Null) => return Ok(Vec::new()),
        _ => return Err(FetchError::new("the response has no list of balances")),
    };
    let one = |entry: &Value| {
        let operation = entry.get("operation").and_then(Value::as_str);
        match (operation, entry.get("balance").and_then(Value::as_f64)) {
            (Some(operation), Some(balance)) => Ok((operation.to_owned(), balance)),
            _ => Err(FetchError::new("an entry has no text as operation, or no number as balance")),
        }
    };
    balances.iter().map(one).collect()
}

/// The maximum number of operations: those requested, and those that responses name.
pub(super) const MAX_OPERATIONS: usize = 2_000;

/// The longest name of an operation, in bytes.
const MAX_OPERATION_BYTES: usize = 1_024;

/// The maximum credit of an operation.
const MAX_CREDIT: f64 = 1_000.0;

/// The maximum length of the operations in a request, in bytes. Escaped names may become three
/// times as long; servers usually accept lines of 8,000 bytes.
const MAX_REQUEST_BYTES: usize = 2_048;

const PARAMETER_BYTES: usize = "operations=&".len();

#[cfg(test)]
mod tests {
    use super::*;

    fn credit(credits: &mut Credits, operation: &str) -> usize {
        (0..).take_while(|_| credits.claim(operation) == Claim::Granted).count()
    }

    #[test]
    fn balances_add_up_and_each_request_takes_one() {
        let mut credits = Credits::default();
        assert_eq!(credits.claim("op"), Claim::Nothing);
        credits.add(&[("op".into(), 1.5), ("op".into(), 1.0), ("other".into(), 1.0)]);
        assert_eq!(credit(&mut credits, "op"), 2);
        assert_eq!(credits.claim("op"), Claim::TooLittle);
        assert_eq!(credit(&mut credits, "other"), 1);
        assert_eq!(credits.claim("other"), Claim::Nothing);
    }

    #[test]
    fn no_balance_is_more_than_the_limit_or_takes_credit_away_or_poisons_it() {
        let mut credits = Credits::default();
        let each = [2.0, f64::NAN, -7.0, f64::NEG_INFINITY, -0.0];
        credits.add(&each.map(|balance| ("op".to_owned(), balance)));
        assert_eq!(credit(&mut credits, "op"), 2);
        assert_eq!(credits.claim("op"), Claim::Nothing);
        for huge in [f64::INFINITY, f64::MAX, 1e300] {
            credits.add(&[("op".into(), huge), ("op".into(), huge)]);
        }
        assert_eq!(credit(&mut credits, "op"), 1_000);
    }

    #[test]
    fn operations_are_bounded_in_number_and_in_length() {
        let mut credits = Credits::default();
        assert_eq!(credits.claim(&"x".repeat(1_025)), Claim::NoRoom);
        let balances: Vec<_> = (0..3_000).map(|n| (n.to_string(), 1.0)).collect();
        credits.add(&balances);
        assert_eq!(credits.of.len(), MAX_OPERATIONS);
        assert_eq!(credits.claim("new"), Claim::NoRoom);
        assert_eq!(credits.claim("7"), Claim::Granted);
    }

    #[test]
    fn requests_name_each_operation_once_within_their_limit() {
        let mut credits = Credits::default();
        let names: Vec<_> =
            (0..500).map(|n| format!("{n:0>width$}", width = 3 + n % 1000)).collect();
        names.iter().for_each(|name| assert_eq!(credits.claim(name), Claim::Nothing));
        let requests = credits.requests();
        let bytes = |request: &Vec<Arc<str>>| request.iter().map(|name| name.len()).sum::<usize>();
        assert!(requests.iter().all(|request| bytes(request) <= MAX_REQUEST_BYTES));
        let mut requested: Vec<_> = requests.concat();
        requested.sort();
        let mut expected: Vec<Arc<str>> = names.iter().map(|name| name.as_str().into()).collect();
        expected.sort();
        assert_eq!(requested, expected);
        assert!(Credits::default().requests().is_empty());
    }

    #[test]
    fn a_request_for_many_short_names_is_no_longer_than_one_for_few_long_ones() {
        let mut credits = Credits::default();
        for n in 0..MAX_OPERATIONS {
            assert_eq!(credits.claim(&format!("{n:x}")), Claim::Nothing);
        }
        for request in credits.requests() {
            let line: usize = request.iter().map(|name| "operations=&".len() + name.len()).sum();
            assert!(line <= 3 * MAX_REQUEST_BYTES, "{line} bytes");
        }
    }

    #[test]
    fn what_is_no_list_of_balances_is_refused() {
        let balances = read(br#"{"balances":[{"operation":"a","balance":2,"more":1}]}"#);
        assert_eq!(balances.unwrap(), [("a".to_owned(), 2.0)]);
        assert!(read(br#"{"balances":null}"#).unwrap().is_empty());
        let deep = "[".repeat(1 << 20);
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"strategyType":"PROBABILISTIC"}"#,
            r#"{"balances":{}}"#,
            r#"{"balances":[null]}"#,
            r#"{"balances":[{"operation":"a"}]}"#,
            r#"{"balances":[{"operation":7,"balance":1}]}"#,
            r#"{"balances":[{"operation":"a","balance":"1"}]}"#,
            r#"{"balances":[{"operation":"a","balance":NaN}]}"#,
            r#"{"balances":[{"operation":"a","balance":1e999}]}"#,
            r#"{"balances":[]}x"#,
            &deep,
        ] {
            assert!(read(body.as_bytes()).is_err(), "{:.80}", body);
        }
    }

    proptest::proptest! {
        #[test]
        fn law_any_bytes_are_read_or_refused(body: Vec<u8>) {
            let _ = read(&body);
        }
    }
}
