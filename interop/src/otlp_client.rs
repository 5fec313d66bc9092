//! Posts spans as OTLP, in protobuf or JSON, that no tracer would produce.

use jaeger_client::encoding::{List, OtlpEncoder, OtlpResponse, OtlpStatus, ProcessView};

use crate::opt_in::StepResult;
use crate::query::post_bytes;

/// A client of a server's OTLP receiver.
#[derive(Debug)]
pub struct OtlpClient {
    url: String,
}

impl OtlpClient {
    /// Makes a client of the server at `address`, `host:port`.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self { url: format!("http://{address}/v1/traces") }
    }

    /// Posts the spans of a process, in as many requests as necessary.
    ///
    /// # Errors
    ///
    /// The response, unless the server accepted all spans.
    pub fn post(&self, process: &ProcessView<'_>, spans: List<'_>) -> StepResult<()> {
        let mut encoder = OtlpEncoder::new(process);
        let mut left = spans;
        while left.count > 0 {
            let request =
                encoder.encode(left, MAX_REQUEST_BYTES).map_err(|error| error.to_string())?;
            if request.spans == 0 {
                return Err(format!("{} spans are too large, or have no ids", left.count));
            }
            self.post_request(request.bytes, "application/x-protobuf")?;
            left = request.left;
        }
        Ok(())
    }

    /// Posts one request.
    ///
    /// # Errors
    ///
    /// As [`post`](Self::post).
    pub fn post_request(&self, request: &[u8], content_type: &str) -> StepResult<()> {
        let (status, body) = post_bytes(&self.url, content_type, request)?;
        // A request in JSON has a response in JSON.
        let is_json = content_type.ends_with("json");
        match status {
            200 if is_json && body.starts_with(b"{\"partialSuccess\":{}}") => Ok(()),
            200 if !is_json && OtlpResponse::parse(&body).is_ok_and(|r| r.is_full_success()) => {
                Ok(())
            }
            status => {
                Err(format!("{status}: {:?}, {}", OtlpStatus::parse(&body), body.escape_ascii()))
            }
        }
    }
}

/// Below the limits of all servers, above the size of any message.
const MAX_REQUEST_BYTES: usize = 1 << 20;
