//! The body of a request, and whether it can be sent once more.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The error of a body or a connection.
pub type BoxError = Box<dyn StdError + Send + Sync>;

type Boxed = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// The body of a request.
///
/// Bytes and text can be sent again, which redirects of status 307 and 308 ask for, and so can
/// those of [`replayable`](Self::replayable); those of [`stream`](Self::stream) are sent once.
///
/// # Examples
///
/// ```
/// use jaeger_client_http::RequestBody;
/// assert!(RequestBody::from("name=value").try_clone().is_some());
/// let once = RequestBody::stream(http_body_util::Full::<bytes::Bytes>::from("once"));
/// assert!(once.try_clone().is_none());
/// ```
#[derive(Default)]
pub struct RequestBody {
    kind: Kind,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Once(Boxed),
    Again {
        make: Arc<dyn Fn() -> Boxed + Send + Sync>,
        /// The body that is being sent, once it is.
        made: Option<Boxed>,
    },
}

impl RequestBody {
    /// Returns an empty body.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body that is sent as it comes, and once.
    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self { kind: Kind::Once(boxed(body)) }
    }

    /// A body that is made anew each time it is to be sent.
    ///
    /// # Source
    ///
    /// `Request.GetBody` in net/http.
    pub fn replayable<B>(make: impl Fn() -> B + Send + Sync + 'static) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self { kind: Kind::Again { make: Arc::new(move || boxed(make())), made: None } }
    }

    /// Returns a copy from the beginning, if the body can be sent again.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        let kind = match &self.kind {
            Kind::Empty => Kind::Empty,
            Kind::Full(bytes) => Kind::Full(bytes.clone()),
            Kind::Once(_) => return None,
            Kind::Again { make, .. } => Kind::Again { make: Arc::clone(make), made: None },
        };
        Some(Self { kind })
    }

    /// Makes what has to be made, once it is going to be sent.
    pub(crate) fn prepare(&mut self) {
        if let Kind::Again { make, made: made @ None } = &mut self.kind {
            *made = Some(make());
        }
    }
}

fn boxed<B>(body: B) -> Boxed
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    Box::pin(Mapped { body: Box::pin(body) })
}

/// A body whose error is boxed.
struct Mapped<B> {
    body: Pin<Box<B>>,
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Body for Mapped<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.body.as_mut().poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.prepare();
        match &mut self.kind {
            Kind::Empty | Kind::Again { made: None, .. } => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.kind = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Once(body) | Kind::Again { made: Some(body), .. } => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(_) | Kind::Again { made: None, .. } => false,
            Kind::Once(body) | Kind::Again { made: Some(body), .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Again { made: None, .. } => SizeHint::default(),
            Kind::Once(body) | Kind::Again { made: Some(body), .. } => body.size_hint(),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Empty => "empty",
            Kind::Full(_) => "full",
            Kind::Once(_) => "stream",
            Kind::Again { .. } => "replayable",
        };
        f.debug_struct("RequestBody").field("kind", &kind).finish_non_exhaustive()
    }
}

impl From<()> for RequestBody {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self { kind: if bytes.is_empty() { Kind::Empty } else { Kind::Full(bytes) } }
    }
}

macro_rules! from {
    ($($kind:ty),*) => {$(
        impl From<$kind> for RequestBody {
            fn from(bytes: $kind) -> Self {
                Self::from(Bytes::from(bytes))
            }
        }
    )*};
}

from!(&'static str, &'static [u8], String, Vec<u8>);
