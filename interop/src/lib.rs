//! Tests of the client against real servers and the Go client
