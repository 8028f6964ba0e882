//! A map that forgets: the oldest entries make room for new ones.

use std::collections::{HashMap, VecDeque};

/// The most codes, and the most access tokens, a realm remembers.
pub(crate) const CAPACITY: usize = 10_000;

/// Values under random names; at most `capacity` of them, the oldest forgotten first. All operations take constant time.
pub(crate) struct Bounded<T> {
    capacity: usize,
    values: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T> Bounded<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, values: HashMap::new(), order: VecDeque::new() }
    }

    pub(crate) fn insert(&mut self, name: String, value: T) {
        while self.order.len() >= self.capacity.max(1) {
            if let Some(oldest) = self.order.pop_front() {
                self.values.remove(&oldest);
            }
        }
        self.order.push_back(name.clone());
        self.values.insert(name, value);
    }

    pub(crate) fn find(&self, name: &str) -> Option<&T> {
        self.values.get(name)
    }

    pub(crate) fn find_mut(&mut self, name: &str) -> Option<&mut T> {
        self.values.get_mut(name)
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.values.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let mut map = Bounded::new(2);
        for (name, value) in [("a", 1), ("b", 2), ("c", 3)] {
            map.insert(name.to_owned(), value);
        }
        assert_eq!([map.find("a"), map.find("b"), map.find("c")], [None, Some(&2), Some(&3)]);
        map.remove("b");
        map.insert("d".to_owned(), 4);
        assert_eq!([map.find("b"), map.find("c"), map.find("d")], [None, Some(&3), Some(&4)]);
    }
}
