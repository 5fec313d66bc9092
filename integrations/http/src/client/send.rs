//! A request with all of its hops.

use std::sync::Arc;

use http::header::REFERER;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use jaeger_client::Span;

use super::options::Options;
use super::redirect::{MAX_HOPS, carry, redirect};
use super::{Shared, TracedRequest};
use crate::body::RequestBody;
use crate::error::{Error, Phase};
use crate::tags::{self, ClientRequest};
use crate::trace::{ClientTrace, Journey, SpanTrace};
use crate::transport::{Deadline, ResponseBody};
use crate::url;

/// The parts that the hops of a request share.
struct Hops<'a> {
    shared: &'a Shared,
    options: &'a Options,
    also: Option<Arc<dyn ClientTrace>>,
    journey: Arc<Journey>,
    overall: Option<Deadline>,
}

/// More than this of a redirect's body is not read for the sake of its connection, as in Go.
const MAX_DRAINED: u64 = 2 << 10;

pub(super) async fn send(request: TracedRequest<'_>) -> Result<Response<ResponseBody>, Error> {
    let TracedRequest { shared, mut request, parent, trace, options } = request;
    let root = shared.tracer.span(options.operation_name.clone()).child_of(parent).start();
    let hops = Hops {
        shared,
        options: &options,
        also: trace,
        journey: Arc::new(Journey {
            tracer: shared.tracer.clone(),
            span: root,
            names: options.conventions.http,
        }),
        overall: options.timeout.map(Deadline::after),
    };
    if !options.follow {
        return hops.hop(request, 0).await;
    }
    let referer = request.headers().get(REFERER).cloned();
    let mut made = 1;
    loop {
        let sent = Copy::of(&request);
        let response = hops.hop(request, made - 1).await?;
        let (head, body) = response.into_parts();
        let Some(next) = redirect(&sent.url, &sent.method, &head)? else {
            return Ok(Response::from_parts(head, body));
        };
        let again = if next.keeps_body { sent.body } else { Some(RequestBody::empty()) };
        let Some(again) = again else {
            return Ok(Response::from_parts(head, body));
        };
        hops.drain(body).await?;
        if made == MAX_HOPS {
            return Err(Error::TooManyRedirects { hops: made, url: url::redacted(&next.url) });
        }
        made += 1;
        let mut headers = sent.headers;
        carry(&mut headers, &sent.url, &next, referer.as_ref());
        request = Request::new(again);
        *request.method_mut() = next.method;
        *request.uri_mut() = next.url;
        *request.version_mut() = sent.version;
        *request.headers_mut() = headers;
    }
}

/// The parts of a request that another hop may need.
struct Copy {
    method: Method,
    url: Uri,
    version: Version,
    headers: HeaderMap,
    /// The body; none if it can be sent only once.
    body: Option<RequestBody>,
}

impl Copy {
    fn of(request: &Request<RequestBody>) -> Self {
        Self {
            method: request.method().clone(),
            url: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
            body: request.body().try_clone(),
        }
    }
}

impl Hops<'_> {
    async fn hop(
        &self,
        mut request: Request<RequestBody>,
        resends: usize,
    ) -> Result<Response<ResponseBody>, Error> {
        let span = self.start(&request, resends);
        if let Some(observer) = &self.options.observer {
            let (parts, body) = request.into_parts();
            observer(&span, &parts);
            request = Request::from_parts(parts, body);
        }
        if self.options.inject {
            self.shared.tracer.inject(&span.context(), request.headers_mut());
        }
        let hop = Arc::new(SpanTrace::of_hop(Arc::clone(&self.journey), span, self.options.mode));
        let trace: Arc<dyn ClientTrace> = match &self.also {
            Some(also) => Arc::new((hop, Arc::clone(also))),
            None => hop,
        };
        self.shared.pool.round_trip_until(request, trace, self.overall).await
    }

    fn start(&self, request: &Request<RequestBody>, resends: usize) -> Span {
        let (url, method) = (request.uri(), request.method());
        let tag = self.options.url_tag.as_ref();
        let shown = tag.map_or_else(|| url::redacted(url), |tag| tag(&url::public(url)));
        let (component, names) = (&*self.options.component_name, self.options.conventions.http);
        let span = self.shared.tracer.span(tags::name_of_request(names, method));
        let span = span.child_of(&self.journey.span);
        let request = ClientRequest { component, method, url, shown: &shown, resends };
        tags::of_client_request(span, names, &request).start()
    }

    /// Has done with the body of a redirect.
    async fn drain(&self, body: ResponseBody) -> Result<(), Error> {
        match self.overall {
            Some(overall) => overall.within(Phase::Body, body.drain(MAX_DRAINED)).await,
            None => {
                body.drain(MAX_DRAINED).await;
                Ok(())
            }
        }
    }
}
