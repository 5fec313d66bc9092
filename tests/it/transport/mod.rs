mod bound_socket;
mod hostile;
mod otlp_tls;
mod proxy;
mod redirects;
mod secrets;
mod tls;
mod unix;
