//! Pacing against agents that read at their own pace, in a time that passes only in sleep.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use super::*;
use crate::clock;
use crate::reporter::SendOptions;
use crate::tracer::defaults;
use crate::transport::udp::DatagramSocket;

/// An agent's socket, and the time.
#[derive(Debug)]
struct State {
    now: Instant,
    socket: u64,
    capacity: usize,
    /// The memory of each datagram in the queue.
    queue: VecDeque<usize>,
    /// How long the agent takes for a datagram; none if it does not read.
    reads_every: Option<Duration>,
    next_read: Instant,
    drops: u32,
    read: usize,
    readings: usize,
    is_there: bool,
}

#[derive(Clone, Debug)]
struct Agent(Arc<Mutex<State>>);

const DATAGRAM: usize = 65_000;
const DEFAULT_CAPACITY: usize = USUAL_BUFFER;

impl Agent {
    fn new(capacity: usize, reads_every: Option<Duration>) -> Self {
        let now = clock::now();
        Self(Arc::new(Mutex::new(State {
            now,
            socket: 1,
            capacity,
            queue: VecDeque::new(),
            reads_every,
            next_read: now,
            drops: 0,
            read: 0,
            readings: 0,
            is_there: true,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap();
        state.read();
        state
    }

    fn pacer(&self) -> Pacer {
        let mut pacer = Pacer::new(PacingConfig::default());
        pacer.connected(Some(Box::new(self.clone())));
        pacer
    }

    /// Sends so many datagrams. Returns how long that took.
    fn send(&self, pacer: &mut Pacer, count: usize, bytes: usize) -> Duration {
        let began = self.now();
        for _ in 0..count {
            pacer.admit(bytes, self).unwrap();
            self.state().arrive(memory_of(bytes));
        }
        self.now() - began
    }

    /// Sends until all was read. Returns how many were dropped.
    fn drain(&self) -> u32 {
        self.sleep(Duration::from_secs(10));
        assert!(self.state().queue.is_empty());
        self.state().drops
    }
}

impl State {
    /// Reads what the agent has read by now.
    fn read(&mut self) {
        let Some(every) = self.reads_every else { return };
        while self.next_read <= self.now && self.queue.pop_front().is_some() {
            self.read += 1;
            self.next_read += every;
        }
    }

    fn arrive(&mut self, memory: usize) {
        let used: usize = self.queue.iter().sum();
        if used > 0 && used + memory > self.capacity {
            self.drops = self.drops.wrapping_add(1);
            return;
        }
        if self.queue.is_empty() {
            // An agent that has nothing to do takes a datagram when it has had its time for it.
            let every = self.reads_every.unwrap_or_default();
            self.next_read = self.next_read.max(self.now + every);
        }
        self.queue.push_back(memory);
    }
}

impl ReceiveQueue for Agent {
    fn read(&mut self) -> Option<QueueState> {
        let mut state = self.state();
        state.readings += 1;
        state.is_there.then(|| QueueState {
            socket: state.socket,
            used: state.queue.iter().sum(),
            capacity: state.capacity,
            drops: state.drops,
        })
    }
}

impl Network for Agent {
    fn resolve(&self, _address: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(Vec::new())
    }

    fn connect(&self, _peer: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        Err(io::Error::other("there is no network"))
    }

    fn receive_queue(&self, _socket: &dyn DatagramSocket) -> Option<Box<dyn ReceiveQueue>> {
        None
    }

    fn now(&self) -> Instant {
        self.0.lock().unwrap().now
    }

    fn sleep(&self, time: Duration) {
        self.0.lock().unwrap().now += time;
    }
}

fn micros(micros: u64) -> Option<Duration> {
    Some(Duration::from_micros(micros))
}

#[test]
fn a_slow_agent_loses_nothing_and_gets_what_it_reads() {
    for (reads_every, capacity, bytes) in [
        (2_000, DEFAULT_CAPACITY, DATAGRAM),
        (20_000, DEFAULT_CAPACITY, DATAGRAM),
        (1_000, 4_608, DATAGRAM),
        (2_000, 65_536, DATAGRAM),
        (500, DEFAULT_CAPACITY, 8_000),
        (100, DEFAULT_CAPACITY, 1_400),
        (300_000, DEFAULT_CAPACITY, DATAGRAM),
    ] {
        let agent = Agent::new(capacity, micros(reads_every));
        let count = 300;
        let took = agent.send(&mut agent.pacer(), count, bytes);
        assert_eq!(agent.drain(), 0, "{reads_every} µs, {capacity}, {bytes}");
        // By the agent's pace, or by the pace for one that was seen to be slow.
        let slow = (bytes * count) as f64 / (capacity.max(USUAL_BUFFER) as f64 / 0.050);
        let reading = (reads_every * count as u64) as f64 / 1e6;
        assert!(took.as_secs_f64() < 1.2 * (slow + reading) + 0.1, "{took:?}: {slow} + {reading}");
    }
}

#[test]
fn an_agent_with_a_large_buffer_is_neither_waited_for_nor_is_its_queue_read_often() {
    let agent = Agent::new(128 << 20, micros(5));
    let took = agent.send(&mut agent.pacer(), 1_000, DATAGRAM);
    assert_eq!(took, Duration::ZERO);
    assert!(agent.state().readings <= 1_000 / 50, "{} readings", agent.state().readings);
    assert_eq!(agent.drain(), 0);
}

#[test]
fn an_agent_that_keeps_up_gets_more_and_more() {
    let agent = Agent::new(DEFAULT_CAPACITY, micros(5));
    let mut pacer = agent.pacer();
    let first = agent.send(&mut pacer, 200, DATAGRAM);
    let expected = (200 * DATAGRAM) as f64 / (DEFAULT_CAPACITY as f64 / 0.025);
    assert!(first.as_secs_f64() < expected && first.as_secs_f64() > expected / 5.0, "{first:?}");
    let second = agent.send(&mut pacer, 10_000, DATAGRAM);
    let third = agent.send(&mut pacer, 10_000, DATAGRAM);
    assert!(second < Duration::from_secs(5), "{second:?}");
    assert!(third < Duration::from_millis(1_500), "about as fast as systems sleep: {third:?}");
    assert_eq!(agent.drain(), 0);
}

#[test]
fn an_agent_that_falls_behind_is_given_time() {
    let agent = Agent::new(DEFAULT_CAPACITY, micros(5));
    let mut pacer = agent.pacer();
    agent.send(&mut pacer, 10_000, DATAGRAM);
    agent.state().reads_every = micros(3_000);
    agent.send(&mut pacer, 5, DATAGRAM);
    agent.state().reads_every = micros(5);
    let after = agent.send(&mut pacer, 20, DATAGRAM);
    let slow = (20 * DATAGRAM) as f64 / (DEFAULT_CAPACITY as f64 / 0.050);
    assert!(after.as_secs_f64() > slow / 2.0, "{after:?} of {slow}");
    assert_eq!(agent.drain(), 0);
}

#[test]
fn an_agent_that_does_not_read_holds_one_datagram_up_for_a_second_and_the_others_not() {
    let agent = Agent::new(DEFAULT_CAPACITY, None);
    let mut pacer = agent.pacer();
    let mut full = 0;
    let began = agent.now();
    while full < 50 {
        match pacer.admit(DATAGRAM, &agent) {
            Ok(()) => agent.state().arrive(memory_of(DATAGRAM)),
            Err(QueueFull) => {
                full += 1;
                pacer.not_sent(DATAGRAM);
            }
        }
    }
    let took = agent.now() - began;
    assert!((1_000..1_200).contains(&took.as_millis()), "{took:?}");
    assert_eq!(agent.state().drops, 0, "what is lost is counted as not sent");
    // It reads again, if slowly, and is waited for again.
    {
        let mut state = agent.state();
        (state.reads_every, state.next_read) = (micros(100_000), state.now);
    }
    agent.sleep(Duration::from_millis(250));
    agent.send(&mut pacer, 10, DATAGRAM);
    assert_eq!((agent.drain(), agent.state().read), (0, 3 + 10), "three are what it had room for");
}

#[test]
fn nobody_is_waited_for_where_nobody_listens() {
    let agent = Agent::new(DEFAULT_CAPACITY, None);
    agent.state().is_there = false;
    let mut pacer = agent.pacer();
    let began = agent.now();
    for _ in 0..1_000 {
        pacer.admit(DATAGRAM, &agent).unwrap();
        pacer.not_sent(DATAGRAM);
    }
    assert_eq!((agent.now() - began, pacer.drops(agent.now())), (Duration::ZERO, None));
}

#[test]
fn what_others_put_into_the_queue_is_waited_for_too() {
    let agent = Agent::new(DEFAULT_CAPACITY, micros(1_000));
    let mut pacer = agent.pacer();
    for _ in 0..100 {
        agent.state().arrive(memory_of(DATAGRAM));
        pacer.admit(DATAGRAM, &agent).unwrap();
        agent.state().arrive(memory_of(DATAGRAM));
    }
    assert_eq!(agent.drain(), 0);
}

#[test]
fn an_agent_that_others_flood_is_waited_for_once_and_then_sent_what_fits() {
    let agent = Agent::new(DEFAULT_CAPACITY, micros(1_000));
    let (mut pacer, flooded) = (agent.pacer(), Flooded(&agent));
    flooded.sleep(Duration::ZERO);
    let began = agent.now();
    for _ in 0..100 {
        assert_eq!(pacer.wait_for_room(DATAGRAM, false, &flooded), Ok(()));
        agent.state().arrive(memory_of(DATAGRAM));
        flooded.sleep(Duration::from_millis(1));
    }
    let took = agent.now() - began;
    assert!((1_000..1_200).contains(&took.as_millis()), "{took:?}");
    assert_eq!(agent.state().drops, 0);
}

/// The same network, where somebody fills the agent's queue whenever it is waited for.
#[derive(Debug)]
struct Flooded<'a>(&'a Agent);

impl Network for Flooded<'_> {
    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        self.0.resolve(address)
    }

    fn connect(&self, peer: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        self.0.connect(peer)
    }

    fn receive_queue(&self, _socket: &dyn DatagramSocket) -> Option<Box<dyn ReceiveQueue>> {
        None
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep(&self, time: Duration) {
        self.0.sleep(time);
        while self.0.state().queue.len() < 2 {
            self.0.state().arrive(memory_of(DATAGRAM));
        }
    }
}

#[test]
fn what_others_sent_since_the_last_reading_is_seen_a_moment_later() {
    let agent = Agent::new(DEFAULT_CAPACITY, None);
    let mut pacer = agent.pacer();
    agent.send(&mut pacer, 1, 1_000);
    (0..3).for_each(|_| agent.state().arrive(memory_of(DATAGRAM)));
    agent.sleep(MAX_READING_AGE);
    let began = agent.now();
    let _ = pacer.admit(1_000, &agent);
    assert!(agent.now() - began >= MAX_WAIT, "it is waited for");
}

#[test]
fn the_first_datagrams_keep_to_the_usual_rate_however_little_was_sent_before() {
    let agent = Agent::new(DEFAULT_CAPACITY, micros(5));
    let mut pacer = agent.pacer();
    let usual = USUAL_BUFFER as f64 / 0.025;
    let took = agent.send(&mut pacer, 2, DATAGRAM).as_secs_f64();
    assert!((took - DATAGRAM as f64 / usual).abs() < 0.001, "{took}");
    // Nothing is held back, so nothing is learned of what the agent could take.
    for _ in 0..200 {
        agent.sleep(Duration::from_millis(50));
        agent.send(&mut pacer, 1, DATAGRAM);
    }
    let took = agent.send(&mut pacer, 2, DATAGRAM).as_secs_f64();
    assert!(took > 1.8 * DATAGRAM as f64 / usual, "{took}");
}

#[test]
fn what_the_socket_drops_is_counted_from_the_first_reading_on_and_slows_down() {
    let agent = Agent::new(DEFAULT_CAPACITY, micros(5));
    agent.state().drops = u32::MAX - 1;
    let mut pacer = agent.pacer();
    assert_eq!(pacer.drops(agent.now()), Some(0), "what was dropped before is not ours");
    agent.send(&mut pacer, 100, DATAGRAM);
    let before = agent.send(&mut pacer, 20, DATAGRAM);
    agent.state().drops = 3; // it wraps
    agent.send(&mut pacer, 1, DATAGRAM);
    let after = agent.send(&mut pacer, 20, DATAGRAM);
    assert!(after > before * 3 / 2, "{before:?}, {after:?}");
    assert_eq!(pacer.drops(agent.now()), Some(5));

    // For a moment nothing is seen, and then the same socket again.
    agent.state().is_there = false;
    assert_eq!(pacer.drops(agent.now()), Some(5));
    agent.state().is_there = true;
    assert_eq!(pacer.drops(agent.now()), Some(5));

    // The agent was started anew.
    (agent.state().socket, agent.state().drops) = (2, 7);
    assert_eq!(pacer.drops(agent.now()), Some(12));

    // Another agent has its own past.
    agent.state().drops = 100;
    pacer.connected(Some(Box::new(agent.clone())));
    assert_eq!(pacer.drops(agent.now()), Some(12));
    agent.state().drops = 101;
    assert_eq!(pacer.drops(agent.now()), Some(13));
}

#[test]
fn without_a_reading_the_rate_stays() {
    let agent = Agent::new(usize::MAX, micros(1));
    let config = PacingConfig { bytes_per_second: 1_000_000, ..PacingConfig::default() };
    let mut pacer = Pacer::new(config);
    let took = agent.send(&mut pacer, 101, DATAGRAM);
    assert!(took.as_millis().abs_diff(6_500) <= 10, "{took:?}");

    // This host has no room for a while: less is sent, and then as much again.
    (0..3).for_each(|_| pacer.host_is_full());
    let took = agent.send(&mut pacer, 5, DATAGRAM);
    assert!(took > Duration::from_millis(1_000), "{took:?}");
    agent.send(&mut pacer, 40, DATAGRAM);
    let took = agent.send(&mut pacer, 100, DATAGRAM);
    assert!(took.as_millis().abs_diff(6_500) <= 10, "{took:?}");
    assert_eq!(pacer.drops(agent.now()), None);
}

#[test]
fn a_full_queue_of_the_default_size_takes_less_than_the_default_timeout_of_a_close() {
    let count = SendOptions::default_queue_bytes(SendOptions::QUEUE_SIZE).div_ceil(DATAGRAM);
    // An agent that is seen and slow, and one that is not seen.
    let agent = Agent::new(DEFAULT_CAPACITY, micros(5_000));
    let took = agent.send(&mut agent.pacer(), count, DATAGRAM);
    assert!(took < defaults::CLOSE_TIMEOUT, "{took:?}");
    let took = agent.send(&mut Pacer::new(PacingConfig::default()), count, DATAGRAM);
    assert!(took < defaults::CLOSE_TIMEOUT, "{took:?}");
}

#[test]
fn without_pacing_nothing_is_waited_for() {
    let agent = Agent::new(DEFAULT_CAPACITY, None);
    let mut pacer = Pacer::new(PacingConfig::off());
    assert!(!pacer.watches_queue());
    for _ in 0..1_000 {
        assert_eq!(pacer.admit(DATAGRAM, &agent), Ok(()));
    }
    let rate = PacingConfig { bytes_per_second: 0, ..PacingConfig::default() };
    let mut pacer = Pacer::new(rate);
    let began = agent.now();
    assert!((0..1_000).all(|_| pacer.admit(DATAGRAM, &agent).is_ok()));
    assert_eq!((agent.now() - began, agent.state().readings), (Duration::ZERO, 0));
}
