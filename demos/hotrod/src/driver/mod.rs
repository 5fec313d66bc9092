//! The driver service, over gRPC: which drivers are near.

pub(crate) mod proto;
mod redis;

use std::io;

use http::request;
use jaeger_client::{Span, Tracer};
use jaeger_client_http::TraceLayer;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use self::proto::driver_service_server::{DriverService, DriverServiceServer};
pub(crate) use self::redis::Redis;
use crate::log;
use crate::metrics::Metrics;

struct Drivers {
    redis: Redis,
    metrics: Metrics,
}

/// Serves requests until the process ends.
pub(crate) async fn serve(
    listener: TcpListener,
    tracer: Tracer,
    metrics: Metrics,
    redis: Redis,
) -> io::Result<()> {
    let tracing = TraceLayer::new(tracer)
        .operation_name(|request: &request::Parts| match request.uri.path() {
            known @ "/driver.DriverService/FindNearest" => known.into(),
            _ => "other".into(),
        })
        .component_name("gRPC");
    Server::builder()
        .layer(tracing)
        .add_service(DriverServiceServer::new(Drivers { redis, metrics }))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await
        .map_err(io::Error::other)
}

#[tonic::async_trait]
impl DriverService for Drivers {
    async fn find_nearest(
        &self,
        request: Request<proto::Request>,
    ) -> Result<Response<proto::Response>, Status> {
        let found = self.find(&request.get_ref().location).await;
        let status = if found.is_ok() { "ok" } else { "error" };
        self.metrics.request("driver", "FindNearest", status);
        found
            .map(|locations| Response::new(proto::Response { locations }))
            .map_err(|why| Status::unavailable(why.to_string()))
    }
}

impl Drivers {
    async fn find(&self, location: &str) -> Result<Vec<proto::DriverLocation>, redis::Timeout> {
        let mut found = Vec::new();
        for id in self.redis.find_driver_ids(location).await {
            found.push(self.driver(&id).await?);
        }
        let fields = [("drivers", found.len().into())];
        log::info(Span::active().as_ref(), "drivers found", &fields);
        Ok(found)
    }

    /// A driver, asked for again if the cache does not answer.
    async fn driver(&self, id: &str) -> Result<proto::DriverLocation, redis::Timeout> {
        for attempt in 1..=TRIES {
            match self.redis.driver(id).await {
                Ok(driver) => return Ok(driver),
                Err(why) => {
                    let why = why.to_string();
                    let fields = [
                        ("attempt", attempt.into()),
                        ("driver", id.into()),
                        ("why", (&*why).into()),
                    ];
                    log::error(Span::active().as_ref(), "driver not read", &fields);
                }
            }
        }
        Err(redis::Timeout)
    }
}

/// How often a driver is asked for.
const TRIES: u32 = 3;
