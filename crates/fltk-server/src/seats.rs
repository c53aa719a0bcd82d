//! Decides which connections are admitted, and which give way: plain data, which [`serve`](super::serve) applies to sockets.
//!
//! ```text
//! 256 seats ── all taken? ── the oldest that hasn't sent a whole request gives way
//!                      └── else the one that has read nothing of its response for a while
//!                      └── else a spare seat, where only probes are answered
//! ```

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// The limit on concurrent connections. It is many times the limit on readers: most connections are idle, or are probes.
pub const SEATS_MAX: usize = 256;
/// The number of additional seats for probes: a busy server is still healthy.
pub const SPARE_MAX: usize = 16;
/// The limit on seats of one address, where addresses distinguish clients.
pub const SEATS_PER_PEER_MAX: usize = 64;
/// A connection that has read nothing of its response for this long gives way to a new one. A client that is merely slow reads something
/// within this time.
const STALLED_MIN: Duration = Duration::from_secs(1);

/// The number of a connection, counted from 0.
pub type SeatId = u64;

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The connection hasn't sent a whole request, since this time.
    Asking(Instant),
    /// The connection's request is being answered.
    Answered,
    /// The connection reads nothing of its response, since this time.
    Stalled(Instant),
}

#[derive(Debug)]
struct Seat {
    peer: IpAddr,
    is_spare: bool,
    state: State,
}

/// The decision on a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The connection has a seat.
    Seat(SeatId),
    /// The connection has a spare seat: only probes are answered.
    Spare(SeatId),
    /// The connection is refused: its address has too many.
    Refused,
    /// The connection must wait until another leaves.
    Full,
}

/// The seats that are taken.
#[derive(Debug)]
pub struct Seats {
    taken: BTreeMap<SeatId, Seat>,
    next: SeatId,
    per_peer_max: Option<usize>,
}

impl Seats {
    /// Creates an empty set of seats. `per_peer_max` is the limit for one address.
    pub fn new(per_peer_max: Option<usize>) -> Self {
        Self { taken: BTreeMap::new(), next: 0, per_peer_max }
    }

    /// Admits a connection from `peer`, if possible; also returns the connection that gives way to it and has lost its seat.
    pub fn admit(&mut self, peer: IpAddr, now: Instant) -> (Admission, Option<SeatId>) {
        let is_usual = |seat: &Seat| !seat.is_spare;
        let is_of_peer = |seat: &Seat| !seat.is_spare && seat.peer == peer;
        let mut left = None;
        // A peer on this machine may be a proxy.
        if let Some(max) = self.per_peer_max.filter(|_| !peer.is_loopback())
            && self.count(is_of_peer) >= max
        {
            left = self.give_way(is_of_peer, now);
            if left.is_none() {
                return (Admission::Refused, None);
            }
        }
        if self.count(is_usual) >= SEATS_MAX {
            left = self.give_way(is_usual, now);
        }
        if self.count(is_usual) < SEATS_MAX {
            return (Admission::Seat(self.take(peer, false, now)), left);
        }
        if self.count(|seat| seat.is_spare) >= SPARE_MAX {
            left = self.give_way(|seat| seat.is_spare, now);
            if left.is_none() {
                return (Admission::Full, None);
            }
        }
        (Admission::Spare(self.take(peer, true, now)), left)
    }

    /// Sets the state of a connection.
    pub fn set(&mut self, id: SeatId, state: State) {
        if let Some(seat) = self.taken.get_mut(&id) {
            seat.state = state;
        }
    }

    /// Records that a connection reads its response, or has stopped reading.
    pub fn takes(&mut self, id: SeatId, takes: bool, now: Instant) {
        if let Some(seat) = self.taken.get_mut(&id) {
            seat.state = match (seat.state, takes) {
                (State::Answered, false) => State::Stalled(now),
                (State::Stalled(_), true) => State::Answered,
                (state, _) => state,
            };
        }
    }

    /// Removes a connection that has left.
    pub fn leave(&mut self, id: SeatId) {
        self.taken.remove(&id);
    }

    fn take(&mut self, peer: IpAddr, is_spare: bool, now: Instant) -> SeatId {
        let id = self.next;
        self.next += 1;
        self.taken.insert(id, Seat { peer, is_spare, state: State::Asking(now) });
        id
    }

    fn count(&self, which: impl Fn(&Seat) -> bool) -> usize {
        self.taken.values().filter(|seat| which(seat)).count()
    }

    /// Takes the seat of the connection that has been asking for longest, else of the one that has been stalled for longest.
    fn give_way(&mut self, which: impl Fn(&Seat) -> bool, now: Instant) -> Option<SeatId> {
        let rank = |state| match state {
            State::Asking(since) => Some((0, since)),
            State::Stalled(since) if now.saturating_duration_since(since) >= STALLED_MIN => Some((1, since)),
            State::Stalled(_) | State::Answered => None,
        };
        let all = self.taken.iter().filter(|(_, seat)| which(seat)).filter_map(|(id, seat)| Some((rank(seat.state)?, *id)));
        let (_, id) = all.min()?;
        self.taken.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn peer(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    #[test]
    fn oldest_request_is_dropped_first_then_idle_readers() {
        let began = Instant::now();
        let mut seats = Seats::new(None);
        for id in 0..SEATS_MAX as u64 {
            assert_eq!(seats.admit(peer(1), began), (Admission::Seat(id), None));
            seats.set(id, State::Answered);
        }
        let mut next = SEATS_MAX as u64;
        let mut admitted = |seats: &mut Seats, now, admission: fn(SeatId) -> Admission, left| {
            assert_eq!(seats.admit(peer(2), now), (admission(next), left));
            next += 1;
            next - 1
        };
        // All are being answered: there are spare seats, of which the oldest gives way.
        let first = admitted(&mut seats, began, Admission::Spare, None);
        for _ in 1..SPARE_MAX {
            admitted(&mut seats, began + SECOND, Admission::Spare, None);
        }
        admitted(&mut seats, began + SECOND, Admission::Spare, Some(first));
        // One connection asks again, later than those; its seat isn't a spare one.
        seats.set(7, State::Asking(began + 3 * SECOND));
        let last = admitted(&mut seats, began + 3 * SECOND, Admission::Seat, Some(7));
        seats.set(last, State::Answered);
        // Two connections read nothing, but one not for long.
        seats.takes(3, false, began + 4 * SECOND);
        seats.takes(2, false, began + 5 * SECOND);
        seats.takes(3, true, began + 5 * SECOND);
        seats.takes(3, false, began + 6 * SECOND);
        let last = admitted(&mut seats, began + 6 * SECOND, Admission::Seat, Some(2));
        // A connection that is asking gives way before those that are stalled.
        admitted(&mut seats, began + 9 * SECOND, Admission::Seat, Some(last));
    }

    #[test]
    fn busy_seats_admit_only_the_spare_ones() {
        let now = Instant::now();
        let mut seats = Seats::new(None);
        let mut answer = |expected: fn(SeatId) -> Admission| {
            let (admission, _) = seats.admit(peer(1), now);
            let (Admission::Seat(id) | Admission::Spare(id)) = admission else { panic!("{admission:?}") };
            assert_eq!(admission, expected(id));
            seats.set(id, State::Answered);
        };
        (0..SEATS_MAX).for_each(|_| answer(Admission::Seat));
        (0..SPARE_MAX).for_each(|_| answer(Admission::Spare));
        assert_eq!(seats.admit(peer(1), now), (Admission::Full, None));
        seats.leave(0);
        assert!(matches!(seats.admit(peer(1), now).0, Admission::Seat(_)));
    }

    #[test]
    fn addresses_have_a_share_except_loopback() {
        let now = Instant::now();
        let mut seats = Seats::new(Some(2));
        let mut admit = |peer: IpAddr| seats.admit(peer, now);
        assert_eq!(admit(peer(1)), (Admission::Seat(0), None));
        assert_eq!(admit(peer(1)), (Admission::Seat(1), None));
        assert_eq!(admit(peer(1)), (Admission::Seat(2), Some(0)), "its own oldest gives way");
        assert_eq!(admit(peer(2)), (Admission::Seat(3), None));
        for id in 4..10 {
            assert_eq!(admit([127, 0, 0, 1].into()), (Admission::Seat(id), None));
        }
        seats.set(1, State::Answered);
        seats.set(2, State::Answered);
        assert_eq!(seats.admit(peer(1), now), (Admission::Refused, None));
    }
}
