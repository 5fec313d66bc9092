mod given_socket;
mod hostile;
mod proxy;
mod redirects;
mod secrets;
mod tls;
mod unix;
