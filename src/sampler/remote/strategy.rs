//! The parser of strategy responses.

use serde_json::{Map, Value};

use crate::sampler::OperationStrategies;

/// A sampling strategy.
#[derive(Debug, PartialEq)]
pub(super) enum Strategy {
    PerOperation(OperationStrategies),
    Probabilistic { rate: f64 },
    RateLimiting { max_traces_per_second: f64 },
}

/// Why a response is not applied.
#[derive(Debug, PartialEq)]
pub(super) enum StrategyError {
    /// The response is malformed.
    Unreadable(String),
    /// The response is well-formed, but unusable.
    Refused(String),
}

/// Parses a response. Names of members are matched without regard to case and null members count as
/// absent, as in Go; unknown members and `strategyType` are ignored.
pub(super) fn read(body: &[u8]) -> Result<Strategy, StrategyError> {
    let response: Value = serde_json::from_slice(body)
        .map_err(|error| StrategyError::Unreadable(error.to_string()))?;
    if response.is_null() {
        return Err(StrategyError::Refused("the response is null".to_owned()));
    }
    let response = object(&response, "the response")?;
    // All members are parsed, so that a malformed one is refused wherever it is.
    let operations = part(response, OPERATIONS)?;
    let probability =
        part(response, PROBABILISTIC)?.map(|part| number(part, "samplingRate")).transpose()?;
    let limit =
        part(response, LIMIT)?.map(|part| number(part, "maxTracesPerSecond")).transpose()?;
    match (operations, probability, limit) {
        (Some(operations), _, _) => per_operation(operations).map(Strategy::PerOperation),
        (None, Some(rate), _) if (0.0..=1.0).contains(&rate) => {
            Ok(Strategy::Probabilistic { rate })
        }
        (None, Some(rate), _) => {
            Err(StrategyError::Refused(format!("samplingRate is {rate}, but must be from 0 to 1")))
        }
        (None, None, Some(limit)) if limit >= 0.0 => {
            Ok(Strategy::RateLimiting { max_traces_per_second: limit })
        }
        (None, None, Some(limit)) => Err(StrategyError::Refused(format!(
            "maxTracesPerSecond is {limit}, but must be 0 or more"
        ))),
        (None, None, None) => Err(StrategyError::Refused(format!(
            "the response has none of {OPERATIONS}, {PROBABILISTIC}, {LIMIT}"
        ))),
    }
}

fn per_operation(of: &Map<String, Value>) -> Result<OperationStrategies, StrategyError> {
    let mut strategies = OperationStrategies::new(
        number(of, "defaultSamplingProbability")?,
        number(of, "defaultLowerBoundTracesPerSecond")?,
    );
    // It is not used, but it must be a number, as in Go.
    number(of, "defaultUpperBoundTracesPerSecond")?;
    let list = match member(of, "perOperationStrategies") {
        None => return Ok(strategies),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(wrong("perOperationStrategies", "a list")),
    };
    if list.len() > MAX_OPERATIONS {
        let say = format!("{} operations, but {MAX_OPERATIONS} are accepted at most", list.len());
        return Err(StrategyError::Refused(say));
    }
    let mut refused = None;
    for entry in list.iter().filter(|entry| !entry.is_null()) {
        let entry = object(entry, "a strategy of an operation")?;
        let operation = match member(entry, "operation") {
            None => "",
            Some(Value::String(operation)) => operation,
            Some(_) => return Err(wrong("operation", "text")),
        };
        match part(entry, PROBABILISTIC)? {
            Some(probability) => {
                let rate = number(probability, "samplingRate")?;
                strategies.operations.push((operation.to_owned(), rate));
            }
            // What follows may be malformed, which counts as another failure.
            None => {
                refused.get_or_insert_with(|| {
                    format!("operation {operation:?} has no {PROBABILISTIC}")
                });
            }
        }
    }
    if list.iter().any(Value::is_null) {
        refused.get_or_insert_with(|| "a strategy of an operation is null".to_owned());
    }
    refused.map_or(Ok(strategies), |why| Err(StrategyError::Refused(why)))
}

/// Returns the member with that name, unless it is null; of several spellings, the last in lexical
/// order.
fn member<'a>(of: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    of.iter()
        .rfind(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null())
        .map(|(_, value)| value)
}

fn part<'a>(
    of: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a Map<String, Value>>, StrategyError> {
    member(of, name).map(|value| object(value, name)).transpose()
}

fn object<'a>(value: &'a Value, name: &str) -> Result<&'a Map<String, Value>, StrategyError> {
    value.as_object().ok_or_else(|| wrong(name, "an object"))
}

/// Returns the number with that name, or 0 if it is absent.
fn number(of: &Map<String, Value>, name: &str) -> Result<f64, StrategyError> {
    match member(of, name) {
        None => Ok(0.0),
        Some(value) => value.as_f64().ok_or_else(|| wrong(name, "a number")),
    }
}

fn wrong(name: &str, kind: &str) -> StrategyError {
    StrategyError::Unreadable(format!("{name} is not {kind}"))
}

const OPERATIONS: &str = "operationSampling";
const PROBABILISTIC: &str = "probabilisticSampling";
const LIMIT: &str = "rateLimitingSampling";

/// The maximum number of operations in a response. Servers have some thousands at most.
const MAX_OPERATIONS: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        match read(body.as_bytes()) {
            Err(StrategyError::Refused(why)) => why,
            other => panic!("{body}: {other:?}"),
        }
    }

    fn probability(rate: f64) -> Result<Strategy, StrategyError> {
        Ok(Strategy::Probabilistic { rate })
    }

    #[test]
    fn the_kind_follows_from_the_members_alone() {
        for kind in ["", r#""strategyType":"PROBABILISTIC","#, r#""strategyType":"RATE_LIMITING","#]
            .into_iter()
            .chain([r#""strategyType":0,"#, r#""strategyType":1,"#, r#""strategyType":99,"#])
            .chain([r#""strategyType":null,"#, r#""strategyType":"?","#, r#""strategyType":[],"#])
        {
            let body = format!(r#"{{{kind}"probabilisticSampling":{{"samplingRate":0.25}}}}"#);
            assert_eq!(read(body.as_bytes()), probability(0.25), "{body}");
        }
    }

    #[test]
    fn the_most_special_member_wins() {
        let all = r#""rateLimitingSampling":{"maxTracesPerSecond":5},
            "probabilisticSampling":{"samplingRate":0.5}"#;
        assert_eq!(read(format!("{{{all}}}").as_bytes()), probability(0.5));
        let body = format!(r#"{{{all},"operationSampling":{{"defaultSamplingProbability":0.1}}}}"#);
        let none = OperationStrategies::new(0.1, 0.0);
        assert_eq!(read(body.as_bytes()), Ok(Strategy::PerOperation(none)));
    }

    #[test]
    fn numbers_of_traces_a_second_need_not_be_whole_or_small() {
        for number in [0.0, 0.25, 40_000.0] {
            let body = format!(r#"{{"rateLimitingSampling":{{"maxTracesPerSecond":{number}}}}}"#);
            let strategy = Strategy::RateLimiting { max_traces_per_second: number };
            assert_eq!(read(body.as_bytes()), Ok(strategy));
        }
    }

    #[test]
    fn an_operation_without_a_probability_makes_the_response_invalid() {
        let list = |list: &str| {
            refused(&format!(r#"{{"operationSampling":{{"perOperationStrategies":{list}}}}}"#))
        };
        assert!(list(r#"[{"operation":"a"}]"#).contains("\"a\" has no probabilisticSampling"));
        assert!(list(r#"[{"operation":"a","probabilisticSampling":null}]"#).contains("\"a\""));
        assert!(list("[null]").contains("null"));
    }

    #[test]
    fn more_operations_than_are_taken_are_refused() {
        let one = r#"{"probabilisticSampling":{}},"#.repeat(MAX_OPERATIONS + 1);
        let list = one.trim_end_matches(',');
        let body = format!(r#"{{"operationSampling":{{"perOperationStrategies":[{list}]}}}}"#);
        assert!(refused(&body).contains("16385 operations"));
    }

    #[test]
    fn what_is_out_of_range_or_says_nothing_is_refused() {
        for body in [
            r#"{"probabilisticSampling":{"samplingRate":1.5}}"#,
            r#"{"probabilisticSampling":{"samplingRate":-0.1}}"#,
            r#"{"rateLimitingSampling":{"maxTracesPerSecond":-1}}"#,
            "null",
            "{}",
            r#"{"strategyType":"PROBABILISTIC"}"#,
            r#"{"probabilisticSampling":null}"#,
        ] {
            refused(body);
        }
    }

    proptest::proptest! {
        #[test]
        fn law_any_bytes_are_read_or_refused(body: Vec<u8>) {
            let _ = read(&body);
        }

        #[test]
        fn law_any_damage_is_read_or_refused(at in 0_usize..WHOLE.len(), byte: u8) {
            let mut body = WHOLE.to_vec();
            body[at] = byte;
            if let Ok(Strategy::Probabilistic { rate }) = read(&body) {
                assert!((0.0..=1.0).contains(&rate));
            }
            let _ = read(&body[..at]);
        }
    }

    const WHOLE: &[u8] = br#"{"strategyType":"PROBABILISTIC","probabilisticSampling":
        {"samplingRate":0.5},"rateLimitingSampling":{"maxTracesPerSecond":5},"operationSampling":
        {"defaultSamplingProbability":0.1,"defaultLowerBoundTracesPerSecond":1e-3,
        "perOperationStrategies":[{"operation":"a","probabilisticSampling":{"samplingRate":1}}]}}"#;

    #[test]
    fn a_response_of_another_shape_is_unreadable() {
        for body in [
            "",
            "<html>",
            "[]",
            "5",
            r#"{"probabilisticSampling":{"samplingRate":"0.5"}}"#,
            r#"{"probabilisticSampling":0.5}"#,
            r#"{"probabilisticSampling":{"samplingRate":1e999}}"#,
            r#"{"probabilisticSampling":{"samplingRate":0.5}}x"#,
            r#"{"probabilisticSampling":{"samplingRate":0.5},"rateLimitingSampling":7}"#,
            r#"{"operationSampling":{"perOperationStrategies":{}}}"#,
            r#"{"operationSampling":{"defaultUpperBoundTracesPerSecond":"5"}}"#,
            r#"{"operationSampling":{"perOperationStrategies":[7]}}"#,
            r#"{"operationSampling":{"perOperationStrategies":[{"operation":7}]}}"#,
            r#"{"operationSampling":{"perOperationStrategies":[{"operation":"a"},7]}}"#,
        ] {
            assert!(matches!(read(body.as_bytes()), Err(StrategyError::Unreadable(_))), "{body}");
        }
        let deep = "[".repeat(1 << 20);
        assert!(matches!(read(deep.as_bytes()), Err(StrategyError::Unreadable(_))));
    }
}
