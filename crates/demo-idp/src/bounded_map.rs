//! A map of limited size: an insertion into a full map evicts the oldest entry.

use std::collections::{HashMap, VecDeque};

/// The capacity of a realm for codes, and for access tokens.
pub(crate) const CAPACITY: usize = 10_000;

/// At most `capacity` values under unique keys, in order of insertion. All operations take constant time.
pub(crate) struct BoundedMap<T> {
    capacity: usize,
    values: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T> BoundedMap<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, values: HashMap::new(), order: VecDeque::new() }
    }

    pub(crate) fn insert(&mut self, key: String, value: T) {
        while self.order.len() >= self.capacity.max(1) {
            if let Some(oldest) = self.order.pop_front() {
                self.values.remove(&oldest);
            }
        }
        self.order.push_back(key.clone());
        self.values.insert(key, value);
    }

    pub(crate) fn find(&self, key: &str) -> Option<&T> {
        self.values.get(key)
    }

    pub(crate) fn find_mut(&mut self, key: &str) -> Option<&mut T> {
        self.values.get_mut(key)
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.values.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let mut map = BoundedMap::new(2);
        for (key, value) in [("a", 1), ("b", 2), ("c", 3)] {
            map.insert(key.to_owned(), value);
        }
        assert_eq!([map.find("a"), map.find("b"), map.find("c")], [None, Some(&2), Some(&3)]);
        map.remove("b");
        map.insert("d".to_owned(), 4);
        assert_eq!([map.find("b"), map.find("c"), map.find("d")], [None, Some(&3), Some(&4)]);
    }
}
