//! The route of a request, where axum says it: before the server layer is called, or only inside of it.

/// The route that a request took, if it is known yet.
#[cfg(not(feature = "axum"))]
pub(crate) fn of(_: &http::Extensions) -> Option<&str> {
    None
}

#[cfg(feature = "axum")]
pub use self::axum::{RouteLayer, RouteService};
#[cfg(feature = "axum")]
pub(crate) use self::axum::{await_route, of};

#[cfg(feature = "axum")]
mod axum {
    use std::task::{Context, Poll};

    use axum::extract::MatchedPath;
    use http::{Extensions, Request};
    use jaeger_client::Span;
    use tower_layer::Layer;
    use tower_service::Service;

    use crate::tags;

    pub(crate) fn of(extensions: &Extensions) -> Option<&str> {
        extensions.get::<MatchedPath>().map(MatchedPath::as_str)
    }

    /// The span of a request whose route was not known when it started.
    #[derive(Clone)]
    struct Unrouted {
        span: Span,
        is_named_by_route: bool,
    }

    /// Leaves the span in its request, for a [`RouteLayer`] further inside.
    pub(crate) fn await_route(extensions: &mut Extensions, span: &Span, is_named_by_route: bool) {
        extensions.insert(Unrouted { span: span.clone(), is_named_by_route });
    }

    /// Gives the span of a [`TraceLayer`](crate::TraceLayer) around an axum router its name, as soon as
    /// the router knows the route.
    ///
    /// The layer is needed only where the `TraceLayer` is outside of the router, as with a
    /// `ServiceBuilder` around all of an application, or where another router is nested by
    /// `nest_service`. Give it to `Router::layer` of the router whose routes are to be names; a
    /// `TraceLayer` that is there needs none.
    ///
    /// # Shape and units
    ///
    /// The operation name becomes `GET /users/{id}`, unless `operation_name` was given, and the tag
    /// `http.route` is set. A sampler that decides by operation has been called with the first
    /// name, `HTTP GET`.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use jaeger_client_http::{RouteLayer, TraceLayer};
    /// use tower_layer::Layer;
    /// # let (tracer, _closer) = jaeger_client::Tracer::builder("svc").null_reporter().build()?;
    /// # async fn user() {}
    ///
    /// // The layer is where the route is known: nothing else is needed.
    /// let app: Router = Router::new()
    ///     .route("/users/{id}", get(user))
    ///     .layer(TraceLayer::new(tracer.clone()));
    ///
    /// // The layer is around everything: the name is given late.
    /// let app: Router = Router::new().route("/users/{id}", get(user)).layer(RouteLayer::new());
    /// let app = TraceLayer::new(tracer).layer(app);
    /// let app: Router = Router::new().fallback_service(app); // as `axum::serve` takes it
    /// # Ok::<(), jaeger_client::ConfigError>(())
    /// ```
    #[derive(Clone, Copy, Debug, Default)]
    #[non_exhaustive]
    pub struct RouteLayer {}

    impl RouteLayer {
        /// The layer, which has no options.
        #[must_use]
        pub const fn new() -> Self {
            Self {}
        }
    }

    impl<S> Layer<S> for RouteLayer {
        type Service = RouteService<S>;

        fn layer(&self, inner: S) -> RouteService<S> {
            RouteService { inner }
        }
    }

    /// A service that names the span of its requests by their route; see [`RouteLayer`].
    #[derive(Clone, Debug)]
    pub struct RouteService<S> {
        inner: S,
    }

    impl<S: Service<Request<B>>, B> Service<Request<B>> for RouteService<S> {
        type Response = S::Response;
        type Error = S::Error;
        type Future = S::Future;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
            self.inner.poll_ready(cx)
        }

        fn call(&mut self, mut request: Request<B>) -> Self::Future {
            let unrouted = request.extensions_mut().remove::<Unrouted>();
            if let (Some(unrouted), Some(route)) = (unrouted, of(request.extensions())) {
                let Unrouted { span, is_named_by_route } = unrouted;
                if is_named_by_route {
                    span.set_operation_name(tags::name_of_route(request.method(), route));
                }
                tags::of_route(&span, route);
            }
            self.inner.call(request)
        }
    }
}
