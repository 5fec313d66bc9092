//! The frontend's clients of the other services.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode, Uri};
use jaeger_client::{Span, TraceFutureExt, Tracer};
use jaeger_client_http::TracedClient;
use serde::de::DeserializeOwned;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};

use crate::customer::Customer;
use crate::driver::proto::driver_service_client::DriverServiceClient;
use crate::driver::proto::{self, DriverLocation};
use crate::log;
use crate::route::Route;

/// Where the other services are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    pub(crate) customer: SocketAddr,
    pub(crate) driver: SocketAddr,
    pub(crate) route: SocketAddr,
}

/// Asks the other services.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    tracer: Tracer,
    http: TracedClient,
    drivers: DriverServiceClient<Channel>,
    driver_timeout: Duration,
    places: Places,
}

/// A service did not answer as it should, or answered that there is no such thing.
#[derive(Debug)]
pub(crate) enum Failed {
    NotFound(String),
    Other(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotFound(why) | Self::Other(why)) = self;
        f.write_str(why)
    }
}

impl Clients {
    /// Clients that connect when they are first used.
    pub(crate) fn new(
        tracer: Tracer,
        places: Places,
        driver_timeout: Duration,
    ) -> Result<Self, tonic::transport::Error> {
        let channel = Endpoint::from_shared(format!("http://{}", places.driver))?
            .connect_timeout(driver_timeout)
            .connect_lazy();
        let http = TracedClient::builder(tracer.clone()).timeout(HTTP_TIMEOUT).build();
        let drivers = DriverServiceClient::new(channel);
        Ok(Self { tracer, http, drivers, driver_timeout, places })
    }

    /// The customer with this number.
    pub(crate) async fn customer(&self, id: u32) -> Result<Customer, Failed> {
        self.get(self.places.customer, "/customer", &[("customer", &id.to_string())]).await
    }

    /// The way between two points of the map.
    pub(crate) async fn route(&self, pickup: &str, dropoff: &str) -> Result<Route, Failed> {
        self.get(self.places.route, "/route", &[("pickup", pickup), ("dropoff", dropoff)]).await
    }

    async fn get<T: DeserializeOwned>(
        &self,
        at: SocketAddr,
        endpoint: &'static str,
        query: &[(&str, &str)],
    ) -> Result<T, Failed> {
        let failed = |why: String| Failed::Other(format!("{endpoint}: {why}"));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let uri: Uri = format!("http://{at}{endpoint}?{query}")
            .parse()
            .map_err(|why: http::uri::InvalidUri| failed(why.to_string()))?;
        let mut request = Request::new(());
        *request.uri_mut() = uri;
        let response = self
            .http
            .request(request)
            .operation_name(format!("HTTP GET: {endpoint}"))
            .send()
            .await
            .map_err(|why| failed(why.to_string()))?;
        let status = response.status();
        let body = response.into_body().read_to_end(MAX_RESPONSE).await;
        let body = body.map_err(|why| failed(why.to_string()))?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(|why| failed(why.to_string())),
            StatusCode::NOT_FOUND => Err(Failed::NotFound(String::from_utf8_lossy(&body).into())),
            _ => Err(failed(format!("answered with {status}"))),
        }
    }

    /// The drivers near a point of the map.
    pub(crate) async fn drivers(&self, location: &str) -> Result<Vec<DriverLocation>, Failed> {
        let span = self
            .tracer
            .span("/driver.DriverService/FindNearest")
            .child_of(Span::active().as_ref())
            .tag("span.kind", "client")
            .tag("component", "gRPC")
            .start();
        let mut headers = HeaderMap::new();
        self.tracer.inject(&span.context(), &mut headers);
        let mut request = tonic::Request::new(proto::Request { location: location.into() });
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        request.set_timeout(self.driver_timeout);

        let mut drivers = self.drivers.clone();
        let requested = drivers.find_nearest(request).in_span(span.clone());
        let response = match tokio::time::timeout(self.driver_timeout, requested).await {
            Ok(Ok(response)) => Ok(response.into_inner().locations),
            Ok(Err(status)) => Err(status.to_string()),
            Err(_) => Err(format!("no answer in {:?}", self.driver_timeout)),
        };
        response.map_err(|why| {
            log::failed(&span, &why);
            Failed::Other(format!("driver: {why}"))
        })
    }
}

/// How long the others may take: customers may have to wait in line.
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest answer, in bytes.
const MAX_RESPONSE: usize = 64 << 10;
